"""Objectives hold or do not, by how much, and by the right answers alone."""

import math
import random

import pytest
from hdrh.histogram import HdrHistogram

from jwtdrill.catalog.objectives import objectives
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.load.latency import quantile
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.load.verdict import Outcome, Row, judge, lost, outcome, quantile_interval, wilson

GOOD, BAD = Expected.ACCEPTED, Expected.REJECTED


def rows(*answers: tuple[str, Expected, Verdict, int, float]) -> dict[str, Row]:
    board = Scoreboard()
    for flow, expected, verdict, count, latency in answers:
        for _ in range(count):
            board.add(Tally(flow, "valid" if expected is GOOD else "expired", "r", expected, verdict), latency)
    return {row.name: row for row in judge(board, objectives())}


def test_refusals_of_bad_tokens_are_successes() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 100, 0.01), ("call", BAD, Verdict.REJECTED, 900, 0.01))
    assert outcome(judged.values(), []) is Outcome.HELD
    assert judged["Token verification"].events == 100


def test_one_false_accept_violates() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 100, 0.01), ("call", BAD, Verdict.ACCEPTED, 1, 0.01))
    assert not judged["False accepts"].held
    assert judged["False accepts"].by == "+1"
    assert outcome(judged.values(), []) is Outcome.VIOLATED
    assert outcome(judged.values(), ["the harness was slow"]) is Outcome.VIOLATED  # a fact all the same


def test_false_rejects_beyond_the_budget_violate_and_say_by_how_much() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 998, 0.01), ("call", GOOD, Verdict.REJECTED, 2, 0.01))
    assert (judged["Token verification"].held, judged["Token verification"].by) == (False, "-0.1000%")
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 999, 0.01), ("call", GOOD, Verdict.ERRORED, 1, 0.01))
    assert judged["Token verification"].held


def test_throttling_says_nothing_of_verification() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 10, 0.01), ("call", GOOD, Verdict.THROTTLED, 90, 0.01))
    assert judged["Token verification"].events == 10


def test_latency_counts_good_calls_only_and_the_bound_belongs_to_it() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 95, 0.2), ("call", GOOD, Verdict.ACCEPTED, 5, 0.3))
    assert judged["Verification latency, p95"].held
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 94, 0.2), ("call", GOOD, Verdict.ACCEPTED, 6, 0.3))
    assert not judged["Verification latency, p95"].held
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 10, 0.01), ("call", BAD, Verdict.REJECTED, 1000, 9))
    assert judged["Verification latency, p95"].events == 10


def test_what_was_not_sent_is_not_measured() -> None:
    judged = rows(("client_credentials", GOOD, Verdict.ACCEPTED, 10, 0.01))
    assert judged["Token verification"].measured is None
    assert judged["Token issuance"].measured == "100.0000%"


def test_an_unfit_harness_says_nothing_good_or_bad() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 10, 9.0))
    assert outcome(judged.values(), []) is Outcome.VIOLATED
    assert outcome(judged.values(), ["the harness was slow"]) is Outcome.INVALID
    assert [o.exit_code for o in Outcome] == [0, 1, 3]


def test_errors_and_false_rejects_are_counted_apart() -> None:
    judged = rows(
        ("call", GOOD, Verdict.ACCEPTED, 990, 0.01),
        ("call", GOOD, Verdict.REJECTED, 4, 0.01),
        ("call", GOOD, Verdict.ERRORED, 6, 0.01),
        ("call", BAD, Verdict.ERRORED, 10, 0.01),
    )
    assert (judged["False rejects"].measured, judged["False rejects"].events) == ("0.4000%", 1000)
    assert (judged["Errors"].measured, judged["Errors"].events) == ("1.5842%", 1010)
    assert judged["Token verification"].measured == "99.0000%"
    assert not any(judged[name].held for name in ("False rejects", "Errors", "Token verification"))


def test_issuance_latency_has_an_objective_of_its_own() -> None:
    judged = rows(("jwt_bearer", GOOD, Verdict.ACCEPTED, 10, 0.6))
    assert not judged["Issuance latency, p95"].held
    assert judged["Issuance latency, p95"].by == "+100 ms"
    assert judged["Verification latency, p95"].measured is None


def test_few_answers_are_not_sure() -> None:
    few = rows(("call", GOOD, Verdict.ACCEPTED, 50, 0.01))["Token verification"]
    many = rows(("call", GOOD, Verdict.ACCEPTED, 5000, 0.01))["Token verification"]
    bad = rows(("call", GOOD, Verdict.ACCEPTED, 50, 0.01), ("call", GOOD, Verdict.REJECTED, 50, 0.01))
    assert (few.held, few.sure, many.held, many.sure) == (True, False, True, True)
    assert (bad["Token verification"].held, bad["Token verification"].sure) == (False, True)


@pytest.mark.parametrize(
    ("good", "total", "low", "high"),
    [(10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775), (95, 100, 0.8882, 0.9785), (999, 1000, 0.9943, 0.9998)],
)
def test_the_interval_of_a_share_is_wilsons(good: int, total: int, low: float, high: float) -> None:
    """Checked against published tables of the score interval."""
    assert wilson(good, total) == pytest.approx((low, high), abs=0.0002)


def test_the_interval_of_a_quantile_holds_the_true_one_nineteen_times_in_twenty() -> None:
    """Drawn from a known distribution, a thousand times."""
    dice = random.Random(3)
    true = -math.log(0.05) * 10_000  # p95 of an exponential distribution with a mean of 10 ms
    hits = 0
    for _ in range(1000):
        histogram = HdrHistogram(1, 60_000_000, 3)
        for _ in range(300):
            histogram.record_value(max(1, int(dice.expovariate(1 / 10_000))))
        low, high = quantile_interval(histogram, 0.95)
        assert low <= quantile(histogram, 0.95) <= high
        hits += low <= true <= high
    assert 930 <= hits <= 975


def test_a_run_is_lost_when_all_answers_to_come_could_not_save_it() -> None:
    """Of 10,000 planned answers 10 may be false: at 10 it can still hold, at 11 it cannot."""
    for wrong, is_lost in ((10, False), (11, True)):
        board = Scoreboard()
        for number in range(50):
            verdict = Verdict.REJECTED if number < wrong else Verdict.ACCEPTED
            board.add(Tally("call", "valid", "r", GOOD, verdict), 0.01)
        assert lost(board, objectives(), 10_000) is is_lost
    slow = Scoreboard()
    for _ in range(501):
        slow.add(Tally("call", "valid", "r", GOOD, Verdict.ACCEPTED), 0.3)
    assert not lost(slow, [o for o in objectives() if o.id == "verification_latency"], 10_021)
    assert lost(slow, [o for o in objectives() if o.id == "verification_latency"], 10_000)


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ([], Outcome.HELD),
        ([Outcome.HELD], Outcome.HELD),
        ([Outcome.HELD, Outcome.INVALID], Outcome.INVALID),
        ([Outcome.INVALID, Outcome.VIOLATED, Outcome.HELD], Outcome.VIOLATED),
    ],
)
def test_of_several_runs_the_gravest_outcome_counts(outcomes: list[Outcome], together: Outcome) -> None:
    assert Outcome.of_all(outcomes) is together
