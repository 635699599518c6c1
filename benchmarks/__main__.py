"""Does the lab limit a load test? Requests/s of one verifier and of one issuer process, with wrk beside them.

    python -m benchmarks [--seconds 5] [--pairs 5] [--json FILE]

Each figure is the median over pairs of runs: the measured endpoint, then a reference on the same process that does
no cryptography. The goals are the lab's: 4,000 RS256-verified requests/s, 1,500 ES256 assertions exchanged per second.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from jwtdrill.errors import JwtdrillError
from jwtdrill.flows.token import ClientIdentity, JwtBearer
from jwtdrill.lab.lab import Lab, LabOptions
from jwtdrill.lab.settings import NORMAL
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.processes.programs import require_program
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import load_target
from jwtdrill.tokens.keys import Algorithm

_CONNECTIONS = 32
_MOST_PER_SECOND = 12_000  # assertions minted ahead: each is good once


@dataclass(frozen=True)
class Figure:
    """Medians in requests/s, their ratio, and the goal that the measured one has."""

    name: str
    measured: float
    reference: float
    ratio: float
    goal: float
    spread: tuple[float, float]

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.measured >= self.goal


def wrk(url: str, seconds: int, script: Path | None = None, *headers: str) -> float:
    """Requests/s that were answered with a 2xx. Raises JwtdrillError for a run with other answers."""
    command = [require_program("wrk"), "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s"]
    command += [part for header in headers for part in ("-H", header)]
    command += ["-s", script] if script else []
    out = subprocess.run([*map(str, command), url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise JwtdrillError(f"wrk at {url}: {' '.join(out.split())}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert found is not None
    return float(found[1])


class Bench:
    """Two labs, without a watch: RS256 access tokens for the verifier, ES256 ones for the issuer."""

    def __init__(self, folder: Path, seconds: int, pairs: int) -> None:
        self._folder = folder
        self._seconds = seconds
        self._pairs = pairs

    def verifier(self) -> Figure:
        """RS256-verified requests against the same process's open page."""
        with _lab(self._folder / "verifier", Algorithm.RS256) as lab:
            target = load_target(str(lab.target))
            token = genuine_token(target)
            url = target.resource[0].url  # not the one whose clock can be moved: libfaketime has its price
            health = url.removesuffix("/orders") + "/healthz"
            pairs = [
                (wrk(url, self._seconds, None, f"Authorization: Bearer {token}"), wrk(health, self._seconds))
                for _ in range(self._pairs)
            ]
        return _figure("verifier: RS256 verified", pairs, 4000)

    def issuer(self) -> Figure:
        """ES256 assertions exchanged, each fresh, against the same process's metadata page."""
        with _lab(self._folder / "issuer", Algorithm.ES256) as lab:
            target = load_target(str(lab.target))
            endpoints = discover(target)
            flow = JwtBearer(ClientIdentity(target.client[0], target, endpoints))
            reference = f"{endpoints.issuer}/.well-known/openid-configuration"
            pairs = []
            for number in range(self._pairs):
                script = _assertions(self._folder / f"assertions-{number}", flow, self._seconds * _MOST_PER_SECOND)
                pairs.append((wrk(endpoints.token, self._seconds, script), wrk(reference, self._seconds)))
        return _figure("issuer: ES256 assertions exchanged", pairs, 1500)


class _lab(Lab):  # noqa: N801 - reads as a function in a with statement
    def __init__(self, folder: Path, alg: Algorithm) -> None:
        super().__init__(folder, LabOptions(NORMAL, watch=False, alg=alg))

    def __enter__(self) -> Lab:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()


def _assertions(path: Path, flow: JwtBearer, count: int) -> Path:
    """A wrk script that sends each of so many token requests once."""
    with path.with_suffix(".txt").open("w") as bodies:
        for _ in range(count):
            body = flow.request().body
            assert body is not None
            bodies.write(body.decode() + "\n")
    script = path.with_suffix(".lua")
    script.write_text(
        f'local bodies = io.lines("{path.with_suffix(".txt")}")\n'
        'local headers = {["Content-Type"] = "application/x-www-form-urlencoded"}\n'
        'request = function() return wrk.format("POST", nil, headers, bodies()) end\n'
    )
    return script


def _figure(name: str, pairs: list[tuple[float, float]], goal: float) -> Figure:
    ratios = [measured / reference for measured, reference in pairs]
    return Figure(
        name,
        statistics.median(measured for measured, _ in pairs),
        statistics.median(reference for _, reference in pairs),
        statistics.median(ratios),
        goal,
        (min(ratios), max(ratios)),
    )


def main() -> int:
    """Run all, print a table, and say by the exit code whether the goals are met."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--pairs", type=int, default=5, help="runs of measured and reference")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jwtdrill-bench-") as folder:
        bench = Bench(Path(folder), given.seconds, given.pairs)
        figures = [bench.verifier(), bench.issuer()]
    print("| figure | requests/s | reference | ratio | spread | goal | |\n|---|---|---|---|---|---|---|")
    for figure in figures:
        low, high = figure.spread
        print(
            f"| {figure.name} | {figure.measured:,.0f} | {figure.reference:,.0f} | {figure.ratio:.2f} "
            f"| {low:.2f} to {high:.2f} | {figure.goal:,.0f} | {'met' if figure.met else 'MISSED'} |"
        )
    if given.json:
        given.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except JwtdrillError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
