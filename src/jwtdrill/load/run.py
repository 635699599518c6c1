"""One load run: its target, what was drawn from it, and what may be asked of it. Knows nothing of Locust."""

import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwtdrill import __version__
from jwtdrill.catalog.objectives import Objective, objectives
from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.flows.token import ClientCredentials, ClientIdentity, JwtBearer
from jwtdrill.load.scoreboard import Scoreboard, tallies
from jwtdrill.load.verdict import Row
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.cases import Case, Need, parse_mix
from jwtdrill.tokens.keys import SigningKey
from jwtdrill.tokens.minter import Minter


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. throughput: requests/s of each simulated client."""

    target: str
    cases: str = "valid"
    throughput: float = 10.0
    report: Path | None = None


@dataclass
class Run:
    """Everything that users of one process share."""

    options: Options
    target: Target
    endpoints: Endpoints
    objectives: tuple[Objective, ...]
    calls: list[Call]
    client_credentials: ClientCredentials | None
    jwt_bearer: JwtBearer | None
    signer: Minter | None
    tls: ssl.SSLContext
    mix: dict[Case, int] = field(default_factory=dict)
    throughput: float = 1.0
    share: float = 1.0  # of the target's limits that this process may use: one of so many workers
    board: Scoreboard = field(default_factory=Scoreboard)
    tokens_asked: int = 0
    started: float = field(default_factory=time.time)

    def configure(self, cases: str, throughput: float) -> None:
        """Take what to send, at the beginning or from the web UI's form. Raises BadInputError."""
        if throughput <= 0:
            raise BadInputError(f"--throughput must be more than 0, not {throughput:g}")
        mix = parse_mix(cases)
        for case in mix:
            if case.needs is Need.SIGNER and self.signer is None:
                raise BadInputError(f"{self.target.path}: case {case.id} needs a [[signer]], and the file has none")
        self.mix, self.throughput = mix, throughput

    def pace(self, users: int) -> float:
        """Seconds from one request of a client to its next, with so many clients here: as asked, within the limit."""
        return max(1 / self.throughput, users / (self.target.limits.rate * self.share))

    def ask_token(self) -> bool:
        """Whether one more token may be asked of the issuer; it is counted."""
        if self.tokens_asked >= self.target.limits.tokens * self.share:
            return False
        self.tokens_asked += 1
        return True


def prepare(options: Options) -> Run:
    """Read and check everything before any load. Raises BadInputError, MissingPartError."""
    target = load_target(options.target)
    target.refuse_production("load")
    client = target.require_clients()[0]
    calls = [Call(resource) for resource in target.require_resources()]
    endpoints = discover(target)
    require_keys(target, endpoints)
    identity = ClientIdentity(client, target, endpoints)
    run = Run(
        options=options,
        target=target,
        endpoints=endpoints,
        objectives=objectives(target.objectives_path),
        calls=calls,
        client_credentials=ClientCredentials(identity),
        jwt_bearer=JwtBearer(identity) if identity.minter is not None else None,
        signer=_signer(target),
        tls=tls_context(target),
    )
    run.configure(options.cases, options.throughput)
    return run


def write_report(folder: Path, run: Run, board: Scoreboard, rows: Sequence[Row], held: bool) -> None:
    """Write `run.json`: verdict, objectives, tallies, latency and timeline. Raises BadInputError."""
    content: dict[str, Any] = {
        "jwtdrill": __version__,
        "environment": run.target.environment,
        "issuer": run.endpoints.issuer,
        "started": run.started,
        "held": held,
        "objectives": [row.to_json() for row in rows],
        "tallies": tallies(board.counts),
        "latency": [
            {
                **stream._asdict(),
                "count": histogram.get_total_count(),
                "milliseconds": {
                    f"p{p:g}": histogram.get_value_at_percentile(p) / 1e3 for p in (50, 90, 95, 99, 99.9, 100)
                },
            }
            for stream, histogram in sorted(board.latency.items())
        ],
        "timeline": [
            {
                "time": at,
                "tallies": tallies(second.counts),
                "latency_sum": second.latency_sum,
                "latency_max": second.latency_max,
            }
            for at, second in sorted(board.timeline.items())
        ],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / ".run.json.new"
        fresh.write_text(json.dumps(content, indent=1))
        fresh.replace(folder / "run.json")
    except OSError as error:
        raise BadInputError(f"--report {folder}: cannot be written: {error.strerror}") from None


def check_report_folder(folder: Path) -> None:
    """Raises BadInputError when a report could not be written there, before any load."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInputError(f"--report {folder}: cannot be written: {error.strerror}") from None


def _signer(target: Target) -> Minter | None:
    if not target.signer:
        return None
    signer = target.signer[0]
    try:
        return Minter(SigningKey.from_pem(target.read(signer.key), signer.alg, signer.kid))
    except BadInputError as error:
        raise BadInputError(f"{target.path}: signer {signer.kid}: {error}") from None
