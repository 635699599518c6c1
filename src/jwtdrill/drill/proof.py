"""The proof: every drill against the alerts that it must raise, measured times beside the least that theory allows.

Pure: made from the journals of drills that were run, and from the experiments; `proving` runs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jwtdrill.catalog.alerts import ALERTS
from jwtdrill.drill.experiment import Experiment
from jwtdrill.load.verdict import Outcome

_MADE = """# Proof

Made by `jwtdrill prove --write`: do not edit. Each drill of `chaos/` was run on a lab of its own, with real Prometheus
and Alertmanager, and with the rules that run in production at {scale:g} times their speed. An alert is *late* after its
least time and the larger of five seconds and half of it; the least follows from its windows, the depth of the fault and
the traffic, reckoning with the longest delay by caches: where these were younger, it came sooner. Times are in seconds
from the fault's beginning, or its end for recovery{runs}. The spread: an alert of another run comes within
{beside:g} seconds of these, for scrapes, evaluations and caches fall differently each time.
"""
_BESIDE = 5.0  # seconds; over three runs of each the widest were 4.6 apart
_REST = """
## Alerts that no drill raises

Proved in promtool alone, by `tests/observe`: they watch the watching, or take longer than a drill may.

"""


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that a drill must raise: seconds after which it came in each run, None where it did not."""

    name: str
    severity: str
    least: float
    late: float
    after: tuple[float | None, ...]

    @property
    def verdict(self) -> str:
        """What is wrong, or that nothing is."""
        if None in self.after:
            return "missed"
        return "late" if any(after > self.late for after in self.after if after is not None) else "in time"


@dataclass(frozen=True, slots=True)
class Proved:
    """One drill, run once or several times. recovered: seconds in each run; wrong: what was not as it must be."""

    experiment: Experiment
    outcome: Outcome
    alerts: tuple[Seen, ...]
    recovered: tuple[float | None, ...]
    false_accepts: int
    wrong: tuple[str, ...]


def proved(experiment: Experiment, runs: Sequence[Mapping[str, Any]]) -> Proved:
    """What the journals of its runs show; each is a drill of `journal.json`."""
    outcome = Outcome.of_all(Outcome(run["outcome"]) for run in runs)
    first = runs[0]["detections"]
    alerts = tuple(
        Seen(one["name"], one["severity"], one["least"], one["late"], tuple(r["detections"][n]["after"] for r in runs))
        for n, one in enumerate(first)
    )
    wrong = {
        f"{finding['what']}: {finding['detail']}"
        for run in runs
        for finding in run["findings"]
        if finding["met"] is False
    }
    return Proved(
        experiment,
        outcome,
        alerts,
        tuple(run["recovered_after"] for run in runs),
        max(run["false_accepts"] for run in runs),
        tuple(sorted(wrong)),
    )


def rows(proofs: Sequence[Proved]) -> list[tuple[str, ...]]:
    """The matrix, a row for each drill and alert."""
    found: list[tuple[str, ...]] = []
    for proof in sorted(proofs, key=lambda one: (_number(one.experiment.expected.failure_mode), one.experiment.name)):
        mode = proof.experiment.expected.failure_mode
        drill = (_spread(proof.recovered), str(proof.false_accepts), proof.outcome.value)
        alerts = [
            (f"{one.name} ({one.severity})", f"{one.least:.1f}", _spread(one.after), f"{one.late:.1f}", one.verdict)
            for one in proof.alerts
        ]
        nothing = ("nothing may fire", "", "", "", "")
        found += [(mode, proof.experiment.name, *alert, *drill) for alert in alerts or [nothing]]
    return found


COLUMNS = (
    "mode",
    "drill",
    "alert",
    "least",
    "measured",
    "late after",
    "alert was",
    "recovered",
    "false accepts",
    "drill",
)


def raised_by(experiments: Sequence[Experiment]) -> dict[str, list[Experiment]]:
    """Of each alert of the catalogue, the drills that must raise it."""
    return {
        alert.name: [one for one in experiments if alert.name in {wanted.name for wanted in one.expected.alerts}]
        for alert in ALERTS
    }


def to_markdown(proofs: Sequence[Proved], time_scale: float) -> str:
    """The page docs/proof.md."""
    times = max((len(proof.recovered) for proof in proofs), default=1)
    runs = "" if times == 1 else f", the shortest and the longest of {times} runs"
    lines = [_MADE.format(scale=time_scale, runs=runs, beside=_BESIDE)]
    lines += [_row(COLUMNS), _row(["---"] * len(COLUMNS)), *(_row(row) for row in rows(proofs))]
    sources = [proof.experiment for proof in proofs if proof.experiment.expected.sources]
    if sources:
        lines += ["", "## Replays of incidents", ""]
        for one in sources:
            links = ", ".join(f"<{url}>" for url in one.expected.sources)
            lines.append(f"- `{one.name}`: {one.title}. {links}")
    bare = [name for name, drills in raised_by([proof.experiment for proof in proofs]).items() if not drills]
    return "\n".join(lines) + "\n" + _REST + "\n".join(f"- {name}" for name in bare) + "\n"


def with_drills(runbook: str, alert: str, drills: Sequence[Experiment]) -> str:
    """A runbook whose section *Drill* begins with how the drills that raise its alert are run."""
    head, mark, rest = runbook.partition("\n## Drill\n")
    if not mark:
        return runbook
    kept = rest.strip().split(f"{_END}\n", 1)[-1].strip() if _END in rest else rest.strip()
    return f"{head}{mark}\n{_BEGIN}\n{_how(alert, drills)}\n{_END}\n" + (f"\n{kept}\n" if kept else "")


_BEGIN = "<!-- made by `jwtdrill prove --write` -->"
_END = "<!-- until here -->"


def _how(alert: str, drills: Sequence[Experiment]) -> str:
    if not drills:
        return f"No drill raises {alert}: `tests/observe` proves it in promtool."
    return "\n".join(f"- `jwtdrill gameday {one.name}`: {one.title} ({one.expected.failure_mode})" for one in drills)


def _number(mode: str) -> int:
    return int(mode.lstrip("F"))


def _spread(times: Sequence[float | None]) -> str:
    known = [time for time in times if time is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.1f}", f"{max(known):.1f}"
    text = low if low == high else f"{low} to {high}"
    return text if len(known) == len(times) else f"{text}, or never"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
