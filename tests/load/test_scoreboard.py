"""Totals are exact, however many processes they come from."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtdrill.catalog.metrics import LATENCY_BUCKETS
from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.load.exporter import ScoreboardCollector
from jwtdrill.load.scoreboard import Scoreboard, Tally, read_tallies, tallies

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
    made = Scoreboard(clock=lambda: now)
    for tally, latency, at in answers:
        now = at
        made.add(tally, latency)
    return made


@settings(deadline=None)
@given(st.lists(ANSWERS, max_size=4))
def test_merged_workers_equal_one_process(workers: list[list[tuple[Tally, float, int]]]) -> None:
    merged = Scoreboard()
    for answers in workers:
        merged.merge(json.loads(json.dumps(board(answers).state(), default=bytes.decode)))
    whole = board([answer for answers in workers for answer in answers])
    assert merged.counts == whole.counts
    assert merged.latency.keys() == whole.latency.keys()
    for stream, histogram in whole.latency.items():
        assert merged.latency[stream].get_total_count() == histogram.get_total_count()
        assert merged.latency[stream].get_value_at_percentile(95) == histogram.get_value_at_percentile(95)
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
    families = {family.name: family for family in ScoreboardCollector(lambda: made, lambda: 7).collect()}
    samples = families["jwtdrill_request_duration_seconds"].samples
    counts = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert list(counts) == [*map(str, LATENCY_BUCKETS), "+Inf"]
    assert (counts["0.0005"], counts["0.005"], counts["0.2"], counts["0.5"], counts["+Inf"]) == (1, 2, 3, 4, 5)
    assert next(s.value for s in samples if s.name.endswith("_sum")) == pytest.approx(30.4, rel=0.01)
    [requests] = families["jwtdrill_requests"].samples
    assert requests.value == 5
    assert requests.labels == {"flow": "call", "case": "valid", "expected": "accepted", "verdict": "accepted"}
    assert families["jwtdrill_users"].samples[0].value == 7
