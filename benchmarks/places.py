"""What benchmarks run against and with: labs, wrk, Locust, and a server whose delays are known."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import tomlkit

from jwtdrill.errors import JwtdrillError
from jwtdrill.lab.lab import Lab, LabOptions
from jwtdrill.lab.settings import NORMAL
from jwtdrill.processes.programs import require_program
from jwtdrill.processes.supervisor import free_port, port_in_use
from jwtdrill.tokens.keys import Algorithm

HERE = Path(__file__).parent
LOADTESTS = HERE.parent / "loadtests"
_CONNECTIONS = 32


class QuietLab(Lab):
    """A lab without a watch, whose target file names only the verifier that no fake clock slows."""

    def __init__(self, folder: Path, alg: Algorithm = Algorithm.RS256, **options: Any) -> None:
        super().__init__(folder, LabOptions(NORMAL, watch=False, alg=alg, **options))

    def __enter__(self) -> "QuietLab":
        self.up()
        content = tomlkit.parse(self.target.read_text())
        del content["resource"][1]
        self.target.write_text(tomlkit.dumps(content))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def wrk(url: str, seconds: float, script: Path | None = None, *headers: str) -> float:
    """Requests/s that were answered with a 2xx. Raises JwtdrillError for a run with other answers."""
    command = [require_program("wrk"), "-t1", f"-c{_CONNECTIONS}", f"-d{seconds:.0f}s"]
    command += [part for header in headers for part in ("-H", header)]
    command += ["-s", script] if script else []
    out = subprocess.run([*map(str, command), url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise JwtdrillError(f"wrk at {url}: {' '.join(out.split())}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found is not None
    return float(found[1])


def locust(file: Path, *options: str | Path, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Run Locust without its web UI; returns its own statistics, an entry for each name. Raises JwtdrillError."""
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--only-summary", "--json", *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )
    arrays = [_array(done.stdout, at) for at in (m.start() for m in re.finditer(r"^\[", done.stdout, re.MULTILINE))]
    if done.returncode not in (0, 1, 3) or not any(arrays):
        raise JwtdrillError(f"locust -f {file.name} ended with {done.returncode}: {done.stderr[-300:]}")
    return max(arrays, key=lambda entries: sum(entry["num_requests"] for entry in entries))  # the master's


def _array(text: str, at: int) -> list[dict[str, Any]]:
    """The JSON array that begins there; empty where none does. Workers print theirs too."""
    try:
        entries: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text, at)[0]
    except ValueError:
        return []
    return entries if entries and isinstance(entries[0], dict) else []


def rate(entries: list[dict[str, Any]], name: str = "") -> float:
    """Answers/s of the entries whose name begins so. Raises JwtdrillError when some failed."""
    chosen = [entry for entry in entries if entry["name"].startswith(name)]
    failed = sum(entry["num_failures"] for entry in chosen)
    if failed:
        raise JwtdrillError(f"{failed} requests failed: the figure would mean nothing")
    begin, end = (f(e[k] for e in chosen) for f, k in ((min, "start_time"), (max, "last_request_timestamp")))
    return float(sum(entry["num_requests"] for entry in chosen) / (end - begin))


def jwtdrill_locust(name: str, *options: str | Path) -> dict[str, Any]:
    """Run one of our locustfiles; returns the content of run.json."""
    with tempfile.TemporaryDirectory(prefix="jwtdrill-bench-") as folder:
        report = Path(folder) / "run.json"
        locust(LOADTESTS / f"{name}.py", "--metrics-port", "0", "--report", report, *options)
        content: dict[str, Any] = json.loads(report.read_text())
        return content


class Delayed:
    """A server in a process of its own that answers after a known delay, and writes down how long it took."""

    def __init__(self, delay: float, *, tail: float = 0.0, stall_at: float = 0.0, stall: float = 0.0) -> None:
        self.port = free_port()
        self._seen = Path(tempfile.mkstemp(prefix="jwtdrill-bench-")[1])
        numbers = (delay, tail, stall_at, stall, self.port)
        self._process = subprocess.Popen([sys.executable, HERE / "delayed.py", *map(str, numbers), self._seen])
        while not port_in_use(self.port):
            time.sleep(0.05)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/"

    def seen(self) -> list[float]:
        """Seconds that it took for each answer, in order of size; ends it."""
        self._process.terminate()
        self._process.wait()
        values = sorted(float(line) for line in self._seen.read_text().split())
        self._seen.unlink()
        return values


def at_server(target: Path, url: str, **issuer: str) -> Path:
    """A copy of the target file with that URL as the only resource, or as the issuer's endpoint."""
    content = tomlkit.parse(target.read_text())
    content["resource"] = [{"name": "delayed", "url": url, "audience": "https://a.example"}]
    content["issuer"].update(issuer)
    path = target.with_name(f"at-{url.rpartition(':')[2].strip('/')}.toml")
    path.write_text(tomlkit.dumps(content))
    return path
