"""A finished load run as one record: what was sent, what came of it, with what, on what. Nothing secret is in it."""

import os
import platform
import ssl
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil
from hdrh.histogram import HdrHistogram

from jwtdrill import __version__
from jwtdrill.load.fitness import Fitness
from jwtdrill.load.latency import quantile
from jwtdrill.load.run import Run
from jwtdrill.load.scoreboard import Scoreboard, Sparse, Stream, tallies
from jwtdrill.load.verdict import Outcome, Row

_PERCENTILES = (50, 90, 95, 99, 99.9, 100)
_LIBRARIES = ("locust", "gevent", "geventhttpclient", "pyjwt", "cryptography", "hdrhistogram")


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker whose last results did not come, and about how many answers it may not have told."""

    worker: str
    untold: int


@dataclass(frozen=True, slots=True)
class Result:
    """scenario: the locustfile. ended: Unix time. problems: why the harness was not fit; empty when it was.
    doubt: seconds by which latencies may be too high because of the harness.
    """

    run: Run
    scenario: str
    users: int
    processes: int
    ended: float
    board: Scoreboard
    fitness: Fitness
    rows: Sequence[Row]
    outcome: Outcome
    problems: Sequence[str]
    doubt: float
    lost: Sequence[Lost]

    def to_json(self) -> dict[str, Any]:
        """As plain data: the content of run.json."""
        run, board = self.run, self.board
        return {
            "jwtdrill": __version__,
            "scenario": self.scenario,
            "started": run.started,
            "ended": self.ended,
            "outcome": self.outcome,
            "problems": list(self.problems),
            "model": self._model(),
            "environment": run.target.environment,
            "issuer": run.endpoints.issuer,
            "target": _target(run),
            "versions": _versions(),
            "machine": _machine(),
            "objectives": [row.to_json() for row in self.rows],
            "tallies": tallies(board.counts),
            "keys": [{**key._asdict(), "count": count} for key, count in sorted(board.keys.items())],
            "latency": [
                {**stream._asdict(), **_latency(histogram)} for stream, histogram in sorted(board.latency.items())
            ],
            "harness": self.fitness.to_json()
            | {"doubt_ms": self.doubt * 1e3, "lost": [{"worker": w.worker, "untold": w.untold} for w in self.lost]},
            "block_seconds": board.block_width,
            "blocks": [
                {"time": at, "latencies": [_block(stream, sparse) for stream, sparse in sorted(streams.items())]}
                for at, streams in sorted(board.blocks.items())
            ],
            "timeline_seconds": board.second_width,
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

    def _model(self) -> dict[str, Any]:
        options, run = self.run.options, self.run
        model: dict[str, Any] = {"users": self.users, "processes": self.processes}
        if run.rate is not None:
            model |= {"kind": "open", "rate": options.rate, "arrivals": run.spacing}
        else:
            model |= {"kind": "closed", "throughput": options.throughput}
        return model | {"cases": options.cases, "tokens": options.tokens}


def _latency(histogram: HdrHistogram) -> dict[str, Any]:
    return {
        "count": histogram.get_total_count(),
        "milliseconds": {f"p{p:g}": quantile(histogram, p / 100) / 1e3 for p in _PERCENTILES},
        "hdrhistogram": histogram.encode().decode(),  # microseconds, in the V2 format that its tools read
    }


def _block(stream: Stream, sparse: Sparse) -> dict[str, Any]:
    return {**stream._asdict(), "microseconds": sorted(sparse.items())}


def _target(run: Run) -> dict[str, Any]:
    target = run.target
    return {
        "file": target.path.name,
        "objectives": target.objectives,
        "limits": {"rate": target.limits.rate, "tokens": target.limits.tokens},
        "clients": [{"id": c.id, "auth": c.auth, "alg": c.alg, "scope": c.scope} for c in target.client],
        "resources": [
            {"name": r.label, "url": without_secrets(r.url), "audience": r.audience, "method": r.method}
            for r in target.resource
        ],
    }


def without_secrets(url: str) -> str:
    """The URL without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{name: version(name) for name in _LIBRARIES},
    }


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "argv0": Path(sys.argv[0]).name,
    }


def _processor() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = ()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
