"""The options that our locustfiles add to Locust's own, on the command line and in its web UI."""

from pathlib import Path
from typing import Any

from locust.argument_parser import LocustArgumentParser

from jwtdrill.load.arrivals import Spacing
from jwtdrill.load.run import Options, Reuse

_METRICS_PORT = 9646


def add_options(parser: LocustArgumentParser) -> None:
    """Add them."""
    add = parser.add_argument
    add(
        "--target",
        default="lab",
        metavar="FILE",
        env_var="JWTDRILL_TARGET",
        include_in_web_ui=False,
        help="target file of the system under test; `lab` is the running lab (default)",
    )
    add("--cases", default="valid", metavar="MIX", help="tokens to send, by weight: valid=9,expired=1")
    add(
        "--rate",
        default="",
        metavar="RATE",
        help="requests/s of all clients together, whatever becomes of them (open model): 200, 50-500/60s (ramp), "
        "100,200,400/30s (steps), 100+900/5s@60s (burst); -u is then the number of clients that they come from",
    )
    add(
        "--arrivals",
        default=Spacing.POISSON.value,
        metavar="SPACING",
        help="how the requests of --rate lie in time: poisson (default) or constant",
    )
    add(
        "--throughput",
        type=float,
        default=10.0,
        metavar="N",
        help="without --rate: requests/s of each client, who waits for each answer (default 10)",
    )
    add(
        "--tokens",
        default=Reuse.CLIENT.value,
        metavar="REUSE",
        help="access tokens: client (one each, until near its expiry; default), pool:N (so many for all), fresh",
    )
    add(
        "--stop-lost",
        type=int,
        default=0,
        metavar="N",
        include_in_web_ui=False,
        help="end the run as soon as no objective can hold any more in a run of N answers",
    )
    add("--seed", type=int, default=None, metavar="N", help="draw the same Poisson arrivals again")
    add(
        "--report",
        default="",
        metavar="DIR",
        include_in_web_ui=False,
        help="write run.json, report.html, tallies.csv and latency.csv there; NAME.json writes that one alone",
    )
    add(
        "--metrics-port",
        type=int,
        default=_METRICS_PORT,
        metavar="PORT",
        include_in_web_ui=False,
        help=f"serve the harness's metrics to Prometheus there (default {_METRICS_PORT}, 0 for none)",
    )
    add(
        "--metrics-address",
        default="127.0.0.1",
        metavar="ADDRESS",
        include_in_web_ui=False,
        help="address on which they are served (default 127.0.0.1: this machine alone)",
    )


def given_options(given: Any) -> Options:
    """What was asked for."""
    return Options(
        target=given.target,
        cases=given.cases,
        throughput=float(given.throughput),
        rate=given.rate or "",
        arrivals=given.arrivals,
        tokens=given.tokens,
        stop_lost=int(given.stop_lost),
        seed=int(given.seed) if given.seed not in (None, "") else None,
        report=Path(given.report) if given.report else None,
    )
