"""What was sent and what came back: tallies by verdict, latencies, and what happened in which second.

Flat records, added up with `add`, sent from worker to master as a whole with `state`, and merged exactly.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hdrh.histogram import HdrHistogram

from jwtdrill.catalog.verdicts import Expected, Verdict, held

_LEAST_MICROSECONDS = 1
_MOST_MICROSECONDS = 60_000_000
_DIGITS = 3


class Tally(NamedTuple):
    """What is counted apart. Every part comes from a bounded set."""

    flow: str
    case: str
    resource: str
    expected: Expected
    verdict: Verdict

    @property
    def false_accept(self) -> bool:
        """A bad token was let in: a security failure."""
        return self.expected is Expected.REJECTED and self.verdict is Verdict.ACCEPTED

    @property
    def false_reject(self) -> bool:
        """A good token was refused: an availability failure."""
        return self.expected is Expected.ACCEPTED and self.verdict is Verdict.REJECTED


class Stream(NamedTuple):
    """What latency is kept apart for."""

    flow: str
    case: str
    resource: str


@dataclass(slots=True)
class Second:
    """One second of the wall clock: counts, and the sum and the most of the latencies in seconds."""

    counts: dict[Tally, int] = field(default_factory=dict)
    latency_sum: float = 0.0
    latency_max: float = 0.0

    def add(self, tally: Tally, latency: float) -> None:
        """One answer."""
        self.counts[tally] = self.counts.get(tally, 0) + 1
        self.latency_sum += latency
        self.latency_max = max(self.latency_max, latency)


class Scoreboard:
    """The results of one process, or of all merged. `clock`: Unix time, for the timeline."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.counts: dict[Tally, int] = {}
        self.latency: dict[Stream, HdrHistogram] = {}
        self.timeline: dict[int, Second] = {}

    def add(self, tally: Tally, latency: float) -> None:
        """One answer that came after `latency` seconds."""
        self.counts[tally] = self.counts.get(tally, 0) + 1
        stream = Stream(tally.flow, tally.case, tally.resource)
        histogram = self.latency.get(stream)
        if histogram is None:
            histogram = self.latency[stream] = _histogram()
        histogram.record_value(min(max(int(latency * 1e6), _LEAST_MICROSECONDS), _MOST_MICROSECONDS))
        now = int(self._clock())
        second = self.timeline.get(now)
        if second is None:
            second = self.timeline[now] = Second()
        second.add(tally, latency)

    @property
    def total(self) -> int:
        """All answers."""
        return sum(self.counts.values())

    def count(self, chosen: Callable[[Tally], bool]) -> int:
        """Answers of the chosen tallies."""
        return sum(count for tally, count in self.counts.items() if chosen(tally))

    @property
    def wrong(self) -> int:
        """Answers that a correct target would not have given."""
        return self.count(lambda tally: not held(tally.expected, tally.verdict))

    def merged_latency(self, chosen: Callable[[Stream], bool]) -> HdrHistogram:
        """One histogram in microseconds of all chosen streams."""
        merged = _histogram()
        for stream, histogram in self.latency.items():
            if chosen(stream):
                merged.add(histogram)
        return merged

    def state(self) -> dict[str, Any]:
        """Everything, as plain data for the wire."""
        return {
            "counts": [[*tally, count] for tally, count in self.counts.items()],
            "latency": [[*stream, histogram.encode()] for stream, histogram in self.latency.items()],
            "timeline": [
                [at, [[*tally, n] for tally, n in s.counts.items()], s.latency_sum, s.latency_max]
                for at, s in self.timeline.items()
            ],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process's `state` holds."""
        for *tally, count in state["counts"]:
            key = _tally(tally)
            self.counts[key] = self.counts.get(key, 0) + count
        for flow, case, resource, encoded in state["latency"]:
            self.latency.setdefault(Stream(flow, case, resource), _histogram()).decode_and_add(encoded)
        for at, counts, latency_sum, latency_max in state["timeline"]:
            second = self.timeline.setdefault(int(at), Second())
            for *tally, count in counts:
                key = _tally(tally)
                second.counts[key] = second.counts.get(key, 0) + count
            second.latency_sum += latency_sum
            second.latency_max = max(second.latency_max, latency_max)


def tallies(counts: Mapping[Tally, int]) -> list[dict[str, Any]]:
    """The tallies as JSON: one record for each, in a fixed order."""
    return [{**tally._asdict(), "count": count} for tally, count in sorted(counts.items())]


def read_tallies(records: Iterable[Mapping[str, Any]]) -> dict[Tally, int]:
    """The counts of such JSON."""
    return {
        _tally([r["flow"], r["case"], r["resource"], r["expected"], r["verdict"]]): int(r["count"]) for r in records
    }


def _tally(parts: list[str]) -> Tally:
    flow, case, resource, expected, verdict = parts
    return Tally(flow, case, resource, Expected(expected), Verdict(verdict))


def _histogram() -> HdrHistogram:
    return HdrHistogram(_LEAST_MICROSECONDS, _MOST_MICROSECONDS, _DIGITS)
