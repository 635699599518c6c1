"""What was sent and what came back: tallies by verdict, latencies, and what happened when.

`add` runs once per answer and touches two small dicts of the second that is open. When a second is over, or somebody
looks, it is folded into the totals. Results travel from worker to master as the seconds that were closed since the last
time, and at the end once more as a whole; both merge exactly.

Nothing here grows with time: the timeline and the latency blocks double their width when there are too many of them.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hdrh.histogram import HdrHistogram

from jwtdrill.catalog.verdicts import Expected, Tally, Verdict, held
from jwtdrill.load.latency import LEAST_MICROSECONDS, MOST_MICROSECONDS, new_histogram

_EXACT_BITS = 11  # an HdrHistogram of three digits keeps so many leading bits of a value
_MOST_SECONDS = 3600  # entries of the timeline
_MOST_BLOCKS = 120  # blocks of latency, from which a comparison draws its samples
_MOST_KEYS = 64  # pairs of issuer and kid that are counted apart
_OTHER = "other"


class Stream(NamedTuple):
    """What latency is kept apart for."""

    flow: str
    case: str
    resource: str


class KeyTally(NamedTuple):
    """Counts by the key that signed: of a genuine token, or of the genuine token that a forgery was made from."""

    issuer: str
    kid: str
    expected: Expected
    verdict: Verdict


Sparse = dict[int, int]  # microseconds, rounded down to three digits, to how many


@dataclass(slots=True)
class Second:
    """One second of the wall clock, or a few: counts, and the sum and the most of the latencies in seconds."""

    counts: dict[Tally, int] = field(default_factory=dict)
    latency_sum: float = 0.0
    latency_max: float = 0.0

    def merge(self, other: "Second") -> None:
        """Add another's."""
        _add_counts(self.counts, other.counts)
        self.latency_sum += other.latency_sum
        self.latency_max = max(self.latency_max, other.latency_max)


class _Open:
    """The second that is under way."""

    __slots__ = ("at", "keys", "latencies", "most", "total")

    def __init__(self, at: int) -> None:
        self.at = at
        self.latencies: dict[Tally, Sparse] = {}
        self.keys: dict[KeyTally, int] = {}
        self.total = 0.0
        self.most = 0.0


class Scoreboard:
    """The results of one process, or of all merged. `clock`: Unix time, for the timeline."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open = _Open(int(clock()))
        self._unsent: list[dict[str, Any]] = []
        self.keeps_unsent = False
        self._counts: dict[Tally, int] = {}
        self._latency: dict[Stream, HdrHistogram] = {}
        self._keys: dict[KeyTally, int] = {}
        self._timeline: dict[int, Second] = {}
        self._blocks: dict[int, dict[Stream, Sparse]] = {}
        self.second_width = 1
        self.block_width = 1

    def add(self, tally: Tally, latency: float, signed_by: tuple[str, str] = ("", "")) -> None:
        """One answer that came after `latency` seconds to a token of that issuer and kid."""
        now = int(self._clock())
        opened = self._open
        if now != opened.at:
            self._fold()
            opened = self._open
            opened.at = now
        micros = int(latency * 1e6)
        shift = micros.bit_length() - _EXACT_BITS
        if shift > 0:
            micros = micros >> shift << shift
        latencies = opened.latencies.get(tally)
        if latencies is None:
            latencies = opened.latencies[tally] = {}
        latencies[micros] = latencies.get(micros, 0) + 1
        opened.total += latency
        if latency > opened.most:
            opened.most = latency
        if signed_by[1]:
            key = KeyTally(*signed_by, tally.expected, tally.verdict)
            opened.keys[key] = opened.keys.get(key, 0) + 1

    @property
    def counts(self) -> dict[Tally, int]:
        """Answers by tally."""
        self._fold()
        return self._counts

    @property
    def keys(self) -> dict[KeyTally, int]:
        """Answers by issuer, kid and verdict; beyond so many keys under `other`."""
        self._fold()
        return self._keys

    @property
    def latency(self) -> dict[Stream, HdrHistogram]:
        """Microseconds by stream."""
        self._fold()
        return self._latency

    @property
    def timeline(self) -> dict[int, Second]:
        """What happened from each of these moments (Unix time) on, for `second_width` seconds."""
        self._fold()
        return self._timeline

    @property
    def blocks(self) -> dict[int, dict[Stream, Sparse]]:
        """Latencies of stretches of `block_width` seconds."""
        self._fold()
        return self._blocks

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
        merged = new_histogram()
        for stream, histogram in self.latency.items():
            if chosen(stream):
                merged.add(histogram)
        return merged

    def take_unsent(self) -> list[dict[str, Any]]:
        """What was folded since it was last asked, as plain data for the wire. Needs `keeps_unsent`."""
        self._fold()
        taken, self._unsent = self._unsent, []
        return taken

    def fold(self, seconds: Iterable[Mapping[str, Any]]) -> None:
        """Add what another process's `take_unsent` gave."""
        for second in seconds:
            self._add_second(
                int(second["at"]),
                {_tally(parts): dict(pairs) for parts, pairs in second["latencies"]},
                {_key_tally(parts): count for parts, count in second["keys"]},
                second["sum"],
                second["max"],
            )

    def state(self) -> dict[str, Any]:
        """Everything, as plain data for the wire."""
        return {
            "counts": [[*tally, count] for tally, count in self.counts.items()],
            "keys": [[*key, count] for key, count in self.keys.items()],
            "latency": [[*stream, histogram.encode().decode()] for stream, histogram in self.latency.items()],
            "second_width": self.second_width,
            "timeline": [
                [at, [[*tally, n] for tally, n in s.counts.items()], s.latency_sum, s.latency_max]
                for at, s in self.timeline.items()
            ],
            "block_width": self.block_width,
            "blocks": [
                [at, [[*stream, list(sparse.items())] for stream, sparse in block.items()]]
                for at, block in self.blocks.items()
            ],
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process's `state` holds."""
        self._fold()
        _add_counts(self._counts, {_tally(parts): count for *parts, count in state["counts"]})
        self._add_keys({_key_tally(parts): count for *parts, count in state["keys"]})
        for flow, case, resource, encoded in state["latency"]:
            self._latency.setdefault(Stream(flow, case, resource), new_histogram()).decode_and_add(encoded)
        self._widen_seconds(state["second_width"])
        for at, counts, latency_sum, latency_max in state["timeline"]:
            second = Second({_tally(parts): n for *parts, n in counts}, latency_sum, latency_max)
            self._timeline.setdefault(int(at) // self.second_width * self.second_width, Second()).merge(second)
        self._widen_blocks(state["block_width"])
        for at, streams in state["blocks"]:
            block = self._blocks.setdefault(int(at) // self.block_width * self.block_width, {})
            for flow, case, resource, pairs in streams:
                _add_counts(block.setdefault(Stream(flow, case, resource), {}), dict(pairs))
        self._bound()

    def _fold(self) -> None:
        """Move what is open into the totals; the second may go on."""
        opened = self._open
        if not opened.latencies:
            return
        self._open = _Open(opened.at)
        self._add_second(opened.at, opened.latencies, opened.keys, opened.total, opened.most)
        if self.keeps_unsent:
            self._unsent.append(
                {
                    "at": opened.at,
                    "latencies": [[list(tally), list(sparse.items())] for tally, sparse in opened.latencies.items()],
                    "keys": [[list(key), count] for key, count in opened.keys.items()],
                    "sum": opened.total,
                    "max": opened.most,
                }
            )

    def _add_second(
        self, at: int, latencies: Mapping[Tally, Sparse], keys: Mapping[KeyTally, int], total: float, most: float
    ) -> None:
        counts = {tally: sum(sparse.values()) for tally, sparse in latencies.items()}
        _add_counts(self._counts, counts)
        self._add_keys(keys)
        block = self._blocks.setdefault(at // self.block_width * self.block_width, {})
        for tally, sparse in latencies.items():
            stream = Stream(tally.flow, tally.case, tally.resource)
            histogram = self._latency.get(stream)
            if histogram is None:
                histogram = self._latency[stream] = new_histogram()
            for micros, count in sparse.items():
                histogram.record_value(min(max(micros, LEAST_MICROSECONDS), MOST_MICROSECONDS), count)
            _add_counts(block.setdefault(stream, {}), sparse)
        self._timeline.setdefault(at // self.second_width * self.second_width, Second()).merge(
            Second(counts, total, most)
        )
        self._bound()

    def _add_keys(self, keys: Mapping[KeyTally, int]) -> None:
        for key, count in keys.items():
            kept = key
            if key not in self._keys and len({(k.issuer, k.kid) for k in self._keys}) >= _MOST_KEYS:
                kept = key._replace(issuer=_OTHER, kid=_OTHER)
            self._keys[kept] = self._keys.get(kept, 0) + count

    def _bound(self) -> None:
        while len(self._timeline) > _MOST_SECONDS:
            self._widen_seconds(self.second_width * 2)
        while len(self._blocks) > _MOST_BLOCKS:
            self._widen_blocks(self.block_width * 2)

    def _widen_seconds(self, width: int) -> None:
        if width <= self.second_width:
            return
        old, self._timeline, self.second_width = self._timeline, {}, width
        for at, second in old.items():
            self._timeline.setdefault(at // width * width, Second()).merge(second)

    def _widen_blocks(self, width: int) -> None:
        if width <= self.block_width:
            return
        old, self._blocks, self.block_width = self._blocks, {}, width
        for at, streams in old.items():
            block = self._blocks.setdefault(at // width * width, {})
            for stream, sparse in streams.items():
                _add_counts(block.setdefault(stream, {}), sparse)


def tallies(counts: Mapping[Tally, int]) -> list[dict[str, Any]]:
    """The tallies as JSON: one record for each, in a fixed order."""
    return [{**tally._asdict(), "count": count} for tally, count in sorted(counts.items())]


def read_tallies(records: Iterable[Mapping[str, Any]]) -> dict[Tally, int]:
    """The counts of such JSON."""
    return {
        _tally([r["flow"], r["case"], r["resource"], r["expected"], r["verdict"]]): int(r["count"]) for r in records
    }


def _tally(parts: Iterable[str]) -> Tally:
    flow, case, resource, expected, verdict = parts
    return Tally(flow, case, resource, Expected(expected), Verdict(verdict))


def _key_tally(parts: Iterable[str]) -> KeyTally:
    issuer, kid, expected, verdict = parts
    return KeyTally(issuer, kid, Expected(expected), Verdict(verdict))


def _add_counts(to: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, count in more.items():
        to[key] = to.get(key, 0) + count
