"""Each kind of finding leads to an action or a question, with the figures that led to it, and nothing else does."""

from dataclasses import replace

import pytest
from tests.drill import days
from tests.drill.days import BURN, between, drill, expected, never, record, span

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.objectives import objectives
from jwtdrill.drill.expectations import Expectations
from jwtdrill.drill.figures import figures
from jwtdrill.drill.lessons import Action, Lesson, Owner, Question, Rank, lessons
from jwtdrill.drill.record import Record
from jwtdrill.drill.result import DrillResult
from jwtdrill.load.verdict import Outcome

WANTED = expected("F10", (BURN, "page", 10))


def of(result: DrillResult) -> list[Lesson]:
    valid = result.judged.outcome is not Outcome.INVALID
    return list(lessons(result, figures(result.record, result.expected, result.demands, objectives(), judged=valid)))


def learnt(seen: Record, wanted: Expectations = WANTED) -> list[Lesson]:
    return of(drill("drill", "Drill", "What it does.", seen, wanted))


def action(found: list[Lesson], beginning: str) -> Action:
    [one] = [lesson for lesson in found if isinstance(lesson, Action) and lesson.what.startswith(beginning)]
    return one


def question(found: list[Lesson], beginning: str) -> Question:
    [one] = [lesson for lesson in found if isinstance(lesson, Question) and lesson.ask.startswith(beginning)]
    return one


def test_a_drill_that_held_with_little_room_and_much_leads_to_nothing() -> None:
    seen = record({"a": between(1, 28)}, [span(BURN, 6, 9)])
    assert learnt(seen) == []


def test_a_missed_alert_is_for_its_team_with_its_runbook() -> None:
    found = action(learnt(record({"a": between(1, 20)}, [])), f"Find out why {BURN} did not come")
    assert (found.who, found.runbook) == (Owner.PLATFORM, BURN)
    assert found.why == (
        "It must come as a page within 10 s of the fault, and it was never active; users were turned away for 19 s"
    )


def test_a_late_alert_says_by_how_much() -> None:
    found = action(learnt(record({"a": between(1, 20)}, [span(BURN, 15.2, 9)])), f"Have {BURN} come sooner")
    assert found.why == "It came 15 s after the fault began, 5.0 s too late"


def test_a_page_that_nobody_announced_is_for_its_own_team() -> None:
    seen = record({"a": between(1, 20)}, [span(BURN, 5, 9), span("JwtTokenMisuseSpike", 8.2, 9)])
    found = action(learnt(seen), "Decide whether JwtTokenMisuseSpike tells of this fault")
    assert (found.who, found.runbook) == (Owner.SECURITY, "JwtTokenMisuseSpike")
    assert "8.0 s after the fault began" in found.why


def test_an_alert_before_the_fault_is_asked_after() -> None:
    seen = record({"a": between(1, 20)}, [span(BURN, 5, 9), span("JwtClockOffset", -9.8, 5, "ticket")])
    assert "10 s before the fault began" in action(learnt(seen), "Find out why JwtClockOffset came unprovoked").why


def test_bad_tokens_that_were_let_in_come_before_all_else() -> None:
    found = action(of(days.let_in()), "Find out why 12 bad tokens were let in")
    assert (found.who, found.runbook, found.rank) == (Owner.SECURITY, "JwtFalseAccept", Rank.HOLE)
    assert found.why == "12 of case alg_none at verifier-a"


def test_bad_tokens_that_the_drill_allows_are_a_question() -> None:
    result = days.let_in()
    wanted = result.expected.model_copy(update={"false_accepts": 20}), result.demands
    found = of(drill(result.name, result.title, "", result.record, wanted))
    assert question(found, "Is it still right that this drill allows 20 bad tokens").why.startswith("12 of case")


@pytest.mark.parametrize(
    ("until", "why"),
    [
        (44, "Not yet by the end of the observation, where 10 s are allowed; b was the last"),
        (38, "Only after 13 s, where 10 s are allowed; b was the last"),
    ],
)
def test_a_recovery_that_is_too_slow_names_the_slowest(until: int, why: str) -> None:
    seen = record({"a": between(1, 26), "b": between(1, until)}, [span(BURN, 6, 9)])
    found = action(learnt(seen), "Have good tokens accepted sooner")
    assert (found.why, found.runbook) == (why, BURN)


def test_an_unsteady_target_and_one_that_fails_unbroken_are_for_their_teams() -> None:
    seen = record({"a": between(1, 20)}, [span(BURN, 6, 9)])
    seen.unsteady = "verifier-a: valid token errored"
    seen.seconds[4] = days.second(days.START + 4, {"a": lambda _: 0.02})
    assert action(learnt(seen), "Bring the target back to normal").why == "verifier-a: valid token errored"
    assert action(learnt(seen), "Find out what goes wrong when nothing is broken").why.startswith(
        "Before the fault: 2 "
    )


@pytest.mark.parametrize(
    ("fault", "what"),
    [("jwks.stale", "Shorten how long b keeps keys"), ("clock.skew", "Find out why b needs so much longer")],
)
def test_a_resource_that_is_clean_much_later_is_to_keep_keys_for_less_long(fault: str, what: str) -> None:
    seen = record({"a": between(1, 26), "b": between(1, 34)}, [span(BURN, 6, 9)], fault)
    assert action(learnt(seen), what).why == "Clean again after the fault: a after 0.9 s and b after 8.9 s"
    near = record({"a": between(1, 26), "b": between(1, 30)}, [span(BURN, 6, 9)], fault)
    assert learnt(near) == []


def test_resources_that_felt_it_far_apart_are_a_question() -> None:
    seen = record({"a": between(2, 28), "b": between(9, 28)}, [span(BURN, 6, 9)])
    assert question(learnt(seen), "Why did b feel it so much later than a?").why == "a after 1.8 s and b after 8.8 s"
    near = record({"a": between(2, 28), "b": between(6, 28)}, [span(BURN, 6, 9)])
    assert learnt(near) == []


def test_users_who_were_hurt_long_before_anybody_was_told_are_a_question() -> None:
    seen = record({"a": between(1, 28)}, [span(BURN, 14.2, 9)])
    wanted = expected("F10", (BURN, "page", 19))
    found = question(learnt(seen, wanted), "Is it acceptable that users were turned away for 13 s")
    assert found.why == "Users felt it 0.8 s after the fault began, the first alert came after 14 s"
    later = record({"a": between(8, 28)}, [span(BURN, 14.2, 9)])  # only from when they felt it
    assert learnt(later, wanted) == []


def test_a_fault_that_nobody_felt_is_a_question() -> None:
    seen = record({"a": never}, [span(BURN, 6, 9)])
    assert question(learnt(seen), "Was the fault too mild").why.endswith("in the 25 s of the fault")


def test_alerts_that_were_not_watched_are_to_be() -> None:
    assert action(of(days.unwatched()), "Run the drill again with alerts watched").who is Owner.DRILLS


def test_a_drill_that_held_easily_is_to_ask_for_more_and_one_that_nearly_failed_for_room() -> None:
    easy = record({"a": between(1, 26)}, [span(BURN, 2.2, 9)])
    found = action(learnt(easy), "Tighten what the drill allows")
    assert (
        found.why == f"{BURN} after 2.0 s of 10 s and the recovery after 0.9 s of 10 s; 20 % of what is allowed at most"
    )
    narrow = action(learnt(record({"a": between(1, 26)}, [span(BURN, 9.4, 9)])), f"Win some room: {BURN}")
    assert (narrow.why, narrow.who) == (f"{BURN} after 9.2 s of 10 s", Owner.PLATFORM)


def test_an_invalid_drill_says_only_why() -> None:
    [one] = of(days.invalid())
    assert isinstance(one, Action)
    assert "load ended in mid-drill" in one.why


def test_an_invalid_drill_still_tells_what_was_let_in() -> None:
    result = days.let_in()
    spoilt = replace(result.record, problem="the lab died")
    found = of(drill(result.name, result.title, "", spoilt, (result.expected, result.demands)))
    assert [type(one) for one in found] == [Action, Action]
    action(found, "Find out why 12 bad tokens were let in")


def test_a_fault_that_was_not_injected_is_to_be() -> None:
    seen = record({"a": never}, [])
    seen.faults.clear()
    [one] = learnt(seen)
    assert isinstance(one, Action)
    assert one.what.startswith("Find out why no fault was injected")
    assert f"{BURN} fires as a page within 10.0 s" in one.why


@pytest.mark.parametrize("make", days.ALL)
def test_every_lesson_has_figures_and_every_runbook_is_a_page(make: object) -> None:
    for lesson in of(make()):  # type: ignore[operator]
        assert lesson.why
        if isinstance(lesson, Action):
            assert lesson.runbook in ("", *ALERT_NAMES)
