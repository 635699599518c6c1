"""A drill's result: what it was, what it saw, how it is judged; and the same as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from jwtdrill.drill.expectations import Expectations
from jwtdrill.drill.judge import Judged, tallies_by_phase
from jwtdrill.drill.record import Record
from jwtdrill.load.scoreboard import tallies


@dataclass(frozen=True, slots=True)
class DrillResult:
    """One drill, ended."""

    name: str
    title: str
    description: str
    expected: Expectations
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
            "tallies": tallies(sum_counts(record)),
            "tallies_by_phase": {phase.value: tallies(c) for phase, c in tallies_by_phase(record).items()},
            "seconds": [
                {"at": s.at, "tallies": tallies(s.counts), "latency_mean": s.latency_mean, "latency_max": s.latency_max}
                for s in record.seconds
            ],
            "burn_rate": {name: [list(point) for point in points] for name, points in record.burn.items()},
        }


def sum_counts(record: Record) -> dict[Any, int]:
    """The tallies of the whole drill."""
    total: dict[Any, int] = {}
    for second in record.seconds:
        for tally, count in second.counts.items():
            total[tally] = total.get(tally, 0) + count
    return total
