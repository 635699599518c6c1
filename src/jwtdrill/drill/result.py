"""Results of a drill and of a game day: what it was, what was seen, how it is judged; and the same as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from jwtdrill import __version__
from jwtdrill.catalog.objectives import Objective
from jwtdrill.drill.deadlines import Demands
from jwtdrill.drill.expectations import Expectations
from jwtdrill.drill.judge import Judged, tallies_by_phase
from jwtdrill.drill.record import Record
from jwtdrill.load.scoreboard import tallies
from jwtdrill.load.verdict import Outcome


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One drill, ended."""

    name: str
    title: str
    description: str
    expected: Expectations
    demands: Demands
    record: Record
    judged: Judged

    def to_json(self) -> dict[str, Any]:
        """Plain data. Times are Unix seconds; `tallies` are those of the whole drill."""
        record = self.record
        return {
            "name": self.name,
            "title": self.title,
            "failure_mode": self.expected.failure_mode,
            "outcome": self.judged.outcome.value,
            **{k: v for k, v in asdict(self.judged).items() if k not in ("outcome", "findings")},
            "findings": [asdict(finding) for finding in self.judged.findings],
            "phases": {phase.value: [i.begin, i.end] for phase, i in record.phases.items()},
            "faults": [{**asdict(fault), "params": dict(fault.params)} for fault in record.faults],
            "alerts": None
            if record.alerts is None
            else [{**asdict(span), "labels": dict(span.labels)} for span in record.alerts],
            "actions": [asdict(action) for action in record.actions],
            "tallies": tallies(sum_counts(record)),
            "tallies_by_phase": {phase.value: tallies(c) for phase, c in tallies_by_phase(record).items()},
            "seconds": [
                {"at": s.at, "tallies": tallies(s.counts), "latency_mean": s.latency_mean, "latency_max": s.latency_max}
                for s in record.seconds
            ],
            "burn_rate": {name: [list(point) for point in points] for name, points in record.burn.items()},
        }


@dataclass(frozen=True, slots=True)
class GameDay:
    """A game day, ended. objectives: the target's; runbooks: URL below which their pages are served, if it is known."""

    started: float
    ended: float
    environment: str
    issuer: str
    results: tuple[DrillResult, ...]
    fresh_watch: bool
    time_scale: float
    objectives: tuple[Objective, ...]
    runbooks: str | None = None

    @property
    def outcome(self) -> Outcome:
        """Violated if any drill was; else invalid if any was; else held."""
        return Outcome.of_all(result.judged.outcome for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what a story makes of it."""
        return {
            "jwtdrill": __version__,
            "started": self.started,
            "ended": self.ended,
            "environment": self.environment,
            "issuer": self.issuer,
            "fresh_watch": self.fresh_watch,
            "time_scale": self.time_scale,
            "outcome": self.outcome.value,
            "drills": [result.to_json() for result in self.results],
        }


def sum_counts(record: Record) -> dict[Any, int]:
    """The tallies of the whole drill."""
    total: dict[Any, int] = {}
    for second in record.seconds:
        for tally, count in second.counts.items():
            total[tally] = total.get(tally, 0) + count
    return total
