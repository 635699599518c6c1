"""The lab that the soak stands on, its folder of temporary files, and what must be so when all is over."""

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from jwtdrill.drill.probes import _problem
from jwtdrill.errors import JwtdrillError, MissingPartError
from jwtdrill.faults.claim import CLAIM
from jwtdrill.faults.client import FaultClient
from jwtdrill.faults.registry import make_fault
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MARKER = "JWTDRILL_SOAK"  # in the environment of a round's controller, and so of whatever it starts
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Begun:
    """A fault as the agent's journal has it; Unix times, `ended` None while it is in force."""

    fault: str
    params: dict[str, Any]
    begun: float
    ended: float | None


@dataclass(slots=True)
class Ground:
    """A lab with short times, in `folder`. Use it in a `with` statement."""

    folder: Path
    target: Target = field(init=False)
    agent: FaultClient = field(init=False)
    _usual: "_Traces" = field(init=False)
    _read: int = field(init=False, default=0)

    def __enter__(self) -> "Ground":
        self.raise_lab()
        return self

    def __exit__(self, *_: object) -> None:
        self.agent.close()
        self._command("lab", "down")

    @property
    def env(self) -> dict[str, str]:
        """For whatever is run here."""
        return {
            **os.environ,
            "JWTDRILL_LAB": str(self.lab),
            "JWTDRILL_JOURNAL": str(self._journal),
            "JWTDRILL_TARGET": str(self.lab / "target.toml"),
            "JWTDRILL_WITHOUT_ALERTS": "1",
            "TMPDIR": str(self._temporary),
            "NO_COLOR": "1",
        }

    @property
    def lab(self) -> Path:
        """The lab's folder."""
        return self.folder / "lab"

    @property
    def _journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def _temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def _file_sd(self) -> Path:
        return self.folder / "file_sd"

    def raise_lab(self) -> None:
        """A fresh one, in the place of one that there may be; what announces itself to Prometheus has a folder."""
        self._command("lab", "down")
        for path in (self._temporary, self._file_sd):
            path.mkdir(exist_ok=True)
        up = self._command("lab", "up", "--profile", "drill", "--without-alerts", "--with", "introspection")
        if up.returncode:
            raise RuntimeError(up.stderr)
        path = self.lab / "target.toml"
        path.write_text(f'{path.read_text()}\n[watch]\nfile_sd = "{self._file_sd}"\n')
        self.target = load_target(str(path))
        self.agent = FaultClient.of(self.target)

    def settle(self) -> None:
        """What there is now is what there should be."""
        self.begun()
        self._usual = self._traces()

    def leases(self) -> list[dict[str, Any]] | None:
        """At the agent, the claim of a drill too; None while it does not answer."""
        try:
            return self.agent.leases()
        except MissingPartError:
            return None

    def agent_pid(self) -> int:
        """Of the process that runs now."""
        return int((self.lab / "pids/fault-agent.pid").read_text())

    def begun(self) -> list[Begun]:
        """The faults that began since this was asked last."""
        with self._journal.open() as journal:
            journal.seek(self._read)
            lines = [json.loads(line) for line in journal]
            self._read = journal.tell()
        ends = {line["id"]: _unix(line["time"]) for line in lines if line["action"] == "end"}
        begins = [line for line in lines if line["action"] == "begin" and line["fault"] != CLAIM]
        return [Begun(one["fault"], one["params"], _unix(one["time"]), ends.get(one["id"])) for one in begins]

    def bound(self, begun: list[Begun]) -> float:
        """Seconds for which these last on, at most."""
        return max((make_fault(b.fault, b.params).after_effect.bound(self.target.times) for b in begun), default=0.0)

    def in_force(self) -> list[str]:
        """What at the agent, the clocks, the issuer's keys and the proxied endpoints is not as without a fault."""
        found = [f"{path.name} is {path.read_text()!r}" for path in self.lab.glob("*.clock") if _moved(path)]
        settings = json.loads((self.lab / "agent.json").read_text())
        try:
            metrics = httpx.get(f"{self.target.break_.proxy}/metrics").text
            gauges = re.findall(r"^jwtdrill_fault_active\{.*", metrics, re.MULTILINE)
            found += [gauge for gauge in gauges if not gauge.endswith(" 0.0")]
            found += self._keys_wrong(settings)
            for listener in settings["listeners"]:
                if listener["edge"]:
                    self._shake_hands(listener["port"])
        except (httpx.HTTPError, OSError) as error:
            found.append(f"a proxied endpoint: {error!r}")
        return found

    def problem(self) -> str | None:
        """What is not steady: a resource that refuses a good token or accepts a bad one, an issuer that gives none."""
        try:
            return asyncio.run(_problem(self.target, genuine_token(self.target)))
        except (JwtdrillError, httpx.HTTPError) as error:
            return str(error) or repr(error)

    def left(self, marker: str) -> list[str]:
        """Processes, ports, files and cgroups that should not be there, or are not there and should be."""
        found = [f"process: {_line(process)}" for process in psutil.process_iter() if _is_marked(process, marker)]
        now = self._traces()
        for name in ("processes", "ports", "files"):
            usual, present = getattr(self._usual, name), getattr(now, name)
            found += [f"{name}: {one} is left" for one in sorted(present - usual, key=str)]
            found += [f"{name}: {one} is gone" for one in sorted(usual - present, key=str)]
        found += [f"stopped: {line}" for line in now.stopped]
        return found + [f"cgroup: {group}" for group in self._groups()]

    def kill(self, marker: str) -> None:
        """Whatever a round has left."""
        for process in filter(lambda one: _is_marked(one, marker), psutil.process_iter()):
            process.kill()

    def _keys_wrong(self, settings: dict[str, Any]) -> list[str]:
        token = (self.lab / "keys/admin-token").read_text()
        admin = httpx.get(f"{self.target.issuer.url}/admin/keys", headers={"Authorization": f"Bearer {token}"})
        keys = admin.json()["keys"]
        found = []
        if [key["alg"] for key in keys if key["state"] == "active"] != ["RS256"]:
            found.append(f"not one key signs: {keys}")
        if any(key["in_set"] != (key["state"] != "revoked") for key in keys):
            found.append(f"the set is not whole: {keys}")
        port = next(one["port"] for one in settings["listeners"] if one["routes"][0]["name"] == "jwks")
        answer = httpx.get(f"http://127.0.0.1:{port}/jwks")
        direct = httpx.get(f"{self.target.issuer.url}/jwks")
        if (answer.status_code, answer.content) != (direct.status_code, direct.content):
            found.append(f"the key set by way of the proxy is another: {answer.status_code}")
        return found

    def _shake_hands(self, port: int) -> None:
        context = ssl.create_default_context(cafile=str(self.lab / "keys/authority.pem"))
        with socket.create_connection(("127.0.0.1", port), 2) as plain:
            context.wrap_socket(plain, server_hostname="127.0.0.1").close()

    def _traces(self) -> "_Traces":
        processes = self._processes()
        listening = frozenset(
            connection.laddr.port
            for process in processes
            for connection in _connections(process)
            if connection.status == psutil.CONN_LISTEN
        )
        folders = (self._temporary, self._file_sd, self.lab)
        files = frozenset(path for folder in folders for path in folder.rglob("*"))
        lines = [_line(process) for process in processes]
        stopped = tuple(_line(process) for process in processes if _is_stopped(process))
        return _Traces(frozenset(lines) | {str(len(lines))}, listening, files, stopped)

    def _processes(self) -> list[psutil.Process]:
        """Those of the lab, and those that its agent started and lost."""
        state = json.loads((self.lab / "state.json").read_text())
        daemon = psutil.Process(state["pid"])
        found = {process.pid: process for process in (daemon, *daemon.children(recursive=True))}
        for process in psutil.process_iter():
            if str(self.lab) in _line(process):
                found.setdefault(process.pid, process)
        return [process for process in found.values() if _line(process)]

    def _groups(self) -> list[Path]:
        """Those that were made for a process of ours, or for one that is no more."""
        ours = {process.pid for process in self._processes()}
        groups = {group: int(group.name.partition("-")[2]) for group in _GROUPS.glob("**/jwtdrill-[0-9]*")}
        return [group for group, pid in groups.items() if pid in ours or not psutil.pid_exists(pid)]

    def _command(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [BIN / "jwtdrill", *argv], env=self.env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90
        )


@dataclass(frozen=True, slots=True)
class _Traces:
    processes: frozenset[str]
    ports: frozenset[int]
    files: frozenset[Path]
    stopped: tuple[str, ...]


def _line(process: psutil.Process) -> str:
    """Its command line; empty for one that has ended."""
    try:
        return " ".join(process.cmdline()) if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""


def _is_marked(process: psutil.Process, marker: str) -> bool:
    try:
        return process.environ().get(MARKER) == marker and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return process.net_connections("tcp")
    except psutil.Error:
        return []


def _moved(clock: Path) -> bool:
    return clock.read_text() != "+0\n"


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
