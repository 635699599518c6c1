"""Objectives hold or do not, by how much, and by the right answers alone."""

from jwtdrill.catalog.objectives import objectives
from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.load.scoreboard import Scoreboard, Tally
from jwtdrill.load.verdict import Row, all_held, judge

GOOD, BAD = Expected.ACCEPTED, Expected.REJECTED


def rows(*answers: tuple[str, Expected, Verdict, int, float]) -> dict[str, Row]:
    board = Scoreboard()
    for flow, expected, verdict, count, latency in answers:
        for _ in range(count):
            board.add(Tally(flow, "valid" if expected is GOOD else "expired", "r", expected, verdict), latency)
    return {row.name: row for row in judge(board, objectives())}


def test_refusals_of_bad_tokens_are_successes() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 100, 0.01), ("call", BAD, Verdict.REJECTED, 900, 0.01))
    assert all_held(judged.values())
    assert judged["Token verification"].events == 100


def test_one_false_accept_violates() -> None:
    judged = rows(("call", GOOD, Verdict.ACCEPTED, 100, 0.01), ("call", BAD, Verdict.ACCEPTED, 1, 0.01))
    assert not judged["False accepts"].held
    assert judged["False accepts"].by == "+1"


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
