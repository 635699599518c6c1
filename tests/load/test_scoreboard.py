"""Totals are exact, however many processes they come from."""

import itertools
import json

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtdrill.catalog.metrics import LATENCY_BUCKETS
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.load.exporter import ScoreboardCollector
from jwtdrill.load.fitness import Fitness, Missed
from jwtdrill.load.scoreboard import KeyTally, Scoreboard, read_tallies, tallies

TALLIES = st.builds(
    Tally,
    st.sampled_from(["call", "jwt_bearer"]),
    st.sampled_from(["valid", "expired"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(list(Expected)),
    st.sampled_from(list(Verdict)),
)
ANSWERS = st.lists(st.tuples(TALLIES, st.floats(0, 5), st.integers(0, 3)), max_size=40)


def board(answers: list[tuple[Tally, float, int]]) -> Scoreboard:
    now = 0
    made = Scoreboard(clock=lambda: now)
    made.keeps_unsent = True
    for tally, latency, at in answers:
        now = at
        made.add(tally, latency, ("https://idp", "k1" if latency < 2 else "k2"))
    return made


@given(st.integers(1, 59_999_999))
def test_a_value_is_rounded_as_the_histogram_does(micros: int) -> None:
    """What is counted by sparse key falls into the very slot that the histogram would have chosen."""
    tally = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED)
    made = Scoreboard(clock=lambda: 0)
    made.add(tally, (micros + 0.5) / 1e6)
    [histogram] = made.latency.values()
    reference = HdrHistogram(1, 60_000_000, 3)
    reference.record_value(micros)
    assert histogram.get_value_at_percentile(100) == reference.get_value_at_percentile(100)
    [sparse] = next(iter(made.blocks.values())).values()
    assert list(sparse) == [reference.get_lowest_equivalent_value(micros)]


def test_nothing_grows_with_time() -> None:
    tally = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED)
    seconds = itertools.count(1_000_000)
    made = Scoreboard(clock=lambda: next(seconds))
    for number in range(20_000):
        made.add(tally, 0.01, ("https://idp", f"kid-{number}"))
    assert (made.total, len(made.keys)) == (20_000, 65)
    assert len(made.timeline) <= 3600
    assert len(made.blocks) <= 120
    assert sum(sum(second.counts.values()) for second in made.timeline.values()) == 20_000
    assert sum(sum(s.values()) for block in made.blocks.values() for s in block.values()) == 20_000
    assert made.keys[KeyTally("other", "other", Expected.ACCEPTED, Verdict.ACCEPTED)] == 20_000 - 64


def test_boards_of_different_widths_merge() -> None:
    tally = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED)
    long, short = (board([(tally, 0.01, at) for at in range(seconds)]) for seconds in (5000, 100))
    for first, second in ((long, short), (short, long)):
        merged = Scoreboard()
        merged.merge(first.state())
        merged.merge(second.state())
        assert (merged.second_width, merged.block_width) == (long.second_width, long.block_width)
        assert sum(sum(s.counts.values()) for s in merged.timeline.values()) == merged.total == 5100


@settings(deadline=None)
@given(st.lists(ANSWERS, max_size=4))
def test_merged_workers_equal_one_process(workers: list[list[tuple[Tally, float, int]]]) -> None:
    merged, folded = Scoreboard(), Scoreboard()
    for answers in workers:
        made = board(answers)
        merged.merge(json.loads(json.dumps(made.state())))
        folded.fold(json.loads(json.dumps(made.take_unsent())))
    whole = board([answer for answers in workers for answer in answers])
    assert merged.counts == folded.counts == whole.counts
    assert merged.keys == folded.keys == whole.keys
    assert merged.blocks == folded.blocks == whole.blocks
    assert folded.latency.keys() == whole.latency.keys()
    assert merged.latency.keys() == whole.latency.keys()
    for stream, histogram in whole.latency.items():
        assert merged.latency[stream].get_total_count() == histogram.get_total_count()
        assert merged.latency[stream].get_value_at_percentile(95) == histogram.get_value_at_percentile(95)
        assert folded.latency[stream].get_value_at_percentile(95) == histogram.get_value_at_percentile(95)
    assert {at: s.counts for at, s in merged.timeline.items()} == {at: s.counts for at, s in whole.timeline.items()}
    assert sum(sum(s.counts.values()) for s in merged.timeline.values()) == merged.total


@given(ANSWERS)
def test_tallies_there_and_back(answers: list[tuple[Tally, float, int]]) -> None:
    counts = board(answers).counts
    assert read_tallies(json.loads(json.dumps(tallies(counts)))) == counts


def test_latency_beyond_the_scale_is_kept_at_its_end() -> None:
    made = board([(Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED), 1000.0, 0)])
    assert made.merged_latency(lambda _: True).get_max_value() == pytest.approx(60e6, rel=0.001)


def test_the_exported_histogram_counts_into_the_contracts_buckets() -> None:
    tally = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED)
    made = board([(tally, seconds, 0) for seconds in (0.0004, 0.003, 0.199, 0.201, 30.0)])
    fitness = Fitness()
    fitness.miss(Missed.LATE, 3)
    fitness.miss(Missed.CONNECTIONS, 2)
    families = {f.name: f for f in ScoreboardCollector(lambda: made, lambda: fitness, lambda: 7).collect()}
    samples = families["jwtdrill_request_duration_seconds"].samples
    counts = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert list(counts) == [*map(str, LATENCY_BUCKETS), "+Inf"]
    assert (counts["0.0005"], counts["0.005"], counts["0.2"], counts["0.5"], counts["+Inf"]) == (1, 2, 3, 4, 5)
    assert next(s.value for s in samples if s.name.endswith("_sum")) == pytest.approx(30.4, rel=0.01)
    [requests] = families["jwtdrill_requests"].samples
    assert requests.value == 5
    assert requests.labels == {"flow": "call", "case": "valid", "expected": "accepted", "verdict": "accepted"}
    assert families["jwtdrill_users"].samples[0].value == 7
    assert families["jwtdrill_arrivals_missed"].samples[0].value == 5
