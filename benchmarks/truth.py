"""How true latencies are, against servers whose delays are known: in the open model, and the closed one beside it."""

from pathlib import Path

from benchmarks.figures import Figure, paired
from benchmarks.places import Delayed, QuietLab, at_server, jwtdrill_locust

_DELAY = 0.02
_RATE = 200
_STALL = 0.5


def latency(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """p50, p99 and p99.9 of a known delay, and of one with a stall of half a second in the middle."""
    lasts = max(15.0, 3 * seconds)
    with QuietLab(folder / "truth") as lab:
        figures = []
        for name, stall in (("known delay", 0.0), ("known stall", _STALL)):
            for model, options in (
                ("open", ("--rate", str(_RATE), "--arrivals", "constant")),
                ("closed", ("--throughput", str(_RATE / 20))),
            ):
                runs = [_run(lab.target, stall, lasts, options) for _ in range(pairs)]
                for percentile in (50, 99, 99.9):
                    true = _true(percentile / 100, stall, lasts) * 1e3
                    seen = iter([run[f"p{percentile:g}"] for run in runs])
                    figure = paired(
                        f"{name}, {model} model, p{percentile:g}",
                        "ms",
                        lambda seen=seen: next(seen),  # type: ignore[misc]
                        "true",
                        lambda true=true: true,  # type: ignore[misc]
                        pairs,
                    )
                    figures.append(_with_goal(figure) if model == "open" else figure)
        return figures


def _with_goal(figure: Figure) -> Figure:
    """Within 2 % or 5 ms of the truth."""
    error = abs(figure.measured - figure.reference)
    values = {name: getattr(figure, name) for name in ("name", "unit", "measured", "against", "reference")}
    return Figure(
        **values,
        ratio=figure.ratio,
        spread=figure.spread,
        goal="within 2 % or 5 ms",
        met=error <= max(5.0, 0.02 * figure.reference),
    )


def _run(target: Path, stall: float, seconds: float, options: tuple[str, ...]) -> dict[str, float]:
    server = Delayed(_DELAY, stall_at=seconds / 2, stall=stall)
    try:
        content = jwtdrill_locust(
            "verification",
            *("-t", f"{seconds:.0f}s", "-u", "20", "-r", "100", *options, "--target"),
            at_server(target, server.url),
        )
    finally:
        server.seen()
    entry = next(e for e in content["latency"] if e["flow"] == "call")
    values: dict[str, float] = entry["milliseconds"]
    return values


def _true(share: float, stall: float, seconds: float) -> float:
    """The quantile: all wait the delay, and those due during the stall the rest of it too, evenly spread."""
    slow = 1 - share - 0.5 / (_RATE * seconds)
    stalled = stall / seconds
    return _DELAY + (max(0.0, stall - slow * seconds) if slow < stalled else 0.0)
