"""A game day's story: one sentence that holds for all drills, one line for each, and lessons said once."""

import json
import re

import pytest
from tests.drill import days
from tests.drill.days import BURN, between, day, drill, expected, record, span

from jwtdrill.drill.lessons import Owner, Rank
from jwtdrill.drill.story import Story, tell
from jwtdrill.drill.words import listed, seconds, share


def story(*results: days.DrillResult, **more: object) -> Story:
    return tell(day(*results, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("makes", "verdict"),
    [
        ([days.held], "The drill went as it must: noticed in time, and over in time."),
        ([days.held, days.held], "Both drills went as they must: noticed in time, and over in time."),
        ([days.held, days.unwatched], "Both drills went as they must, as far as was watched: alerts were not."),
        ([days.held] * 3, "All 3 drills went as they must: noticed in time, and over in time."),
        ([days.held, days.invalid], "1 of 2 drills says nothing and must be run again."),
        ([days.held, days.invalid, days.let_in], "1 of 3 drills did not go as it must."),
        ([days.missed_and_late, days.let_in], "2 of 2 drills did not go as they must."),
    ],
)
def test_the_verdict_is_one_sentence_in_plain_words(makes: list[object], verdict: str) -> None:
    assert story(*(make() for make in makes)).verdict == verdict  # type: ignore[operator]


def test_each_drill_has_its_line() -> None:
    lines = [(d.hurt, d.noticed, d.back, d.budget) for d in story().drills]
    assert lines == [
        ("25 s", "after 3.8 s", "after 0.9 s", "0.48 %"),
        ("40 s", "after 17 s", "not yet", "0.78 %"),
        ("not at all", "after 4.8 s", "was never out", "0 %"),
        ("\u2013",) * 4,
        ("25 s", "not watched", "after 1.9 s", "0.96 %"),
    ]


def test_a_drill_that_went_wrong_says_how_in_few_words() -> None:
    assert [d.why for d in story().drills] == [
        (),
        (
            "an alert did not come",
            "an alert came late",
            "2 alerts came that were not announced",
            "users were not served again by the end",
        ),
        ("12 bad tokens were let in",),
        ("the drill itself did not work out",),
        (),
    ]


def test_what_has_no_words_of_ours_is_told_in_the_judges() -> None:
    seen = record({"a": between(1, 20)}, [span(BURN, 5, 9)])
    seen.seconds[4] = days.second(days.START + 4, {"a": lambda _: 0.02})
    [told] = story(drill("x", "X", "", seen, expected("F10", (BURN, "page", 10)))).drills
    assert len(told.why) == 1
    assert told.why[0].startswith("Control period is clean: 2 wrong of")


def test_the_lead_says_what_nobody_may_miss() -> None:
    lead = " ".join(story().lead)
    assert "12 tokens that must be refused were let in." in lead
    assert "“Garbage for a key set”: going on like that would use up a month's error budget in 43 min." in lead
    assert "Alerting ran 60 times as fast as in real life" in lead
    assert "times as fast" not in " ".join(story(days.held(), time_scale=1).lead)


def test_lessons_of_several_drills_are_said_once_the_gravest_first() -> None:
    told = story(*(make() for make in days.ALL))
    assert [action.rank for action, _ in told.actions] == sorted(action.rank for action, _ in told.actions)
    assert told.actions[0][0].rank is Rank.HOLE
    [tighten] = [because for action, because in told.actions if action.what.startswith("Tighten")]
    assert [one.drill.slug for one in tighten if one.drill] == ["clock_skew", "jwks_garbage"]


def test_the_day_as_a_whole_teaches_too() -> None:
    told = story(days.held())
    actions = {action.what: because for action, because in told.actions}
    [left_out] = [because for what, because in actions.items() if what.startswith("Drill what was left out")]
    assert "JWKS outage (F10)" in left_out[0].why
    assert "clock skew (F9)" not in left_out[0].why
    assert any(what.startswith("Run what held here on staging") for what in actions)
    assert not [a for a, _ in story(days.held(), environment="staging").actions if "on staging" in a.what]
    budget = next(question for question, _ in told.questions if question.ask.startswith("Could somebody end"))
    assert "at that rate all of it is gone after 87 min" in budget.why


def test_runbooks_are_links_only_where_it_is_known_where_they_are_served() -> None:
    assert story().runbook("JwtFalseAccept") == "docs/runbooks/JwtFalseAccept.md"
    served = story(runbooks="https://wiki.example/jwt/")
    assert served.runbook("JwtFalseAccept") == "https://wiki.example/jwt/JwtFalseAccept.md"


def test_every_drill_has_a_name_of_its_own_that_suits_files_and_links() -> None:
    seen, wanted = days.held().record, (days.held().expected, days.held().demands)
    named = [drill(name, "T", "", seen, wanted) for name in ("a", "a", "a-2", "../Ä b/c", "")]
    slugs = [one.slug for one in story(*named).drills]
    assert slugs == ["a", "a-2", "a-2-2", "b-c", "drill"]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", slug) for slug in slugs)


def test_the_journal_has_what_was_seen_and_what_was_derived() -> None:
    content = json.loads(json.dumps(story().to_json()))
    assert content["verdict"] == "2 of 5 drills did not go as they must."
    rotation = content["drills"][1]
    assert rotation["outcome"] == "violated"
    assert rotation["actions"][0]["what"].startswith("load: 20 clients")
    derived = rotation["derived"]
    assert derived["hurt_seconds"] == 40
    assert {one["place"] for one in derived["propagation"]} == {"verifier-a", "verifier-b", "edge gateway"}
    assert {one["name"]: one["fate"] for one in derived["alert_fates"]}["JwtRotationBroken"] == "missed"
    first = content["actions_to_take"][0]
    assert (first["who"], first["because"][0]["drill"]) == (Owner.SECURITY, "jwks_outage")


def test_an_empty_day_has_a_story() -> None:
    empty = days.GameDay(0, 1, "lab", "http://127.0.0.1:1", (), True, 1, ())
    assert tell(empty).verdict


def test_figures_in_words() -> None:
    assert [seconds(value) for value in (None, 0.04, 9.94, 48.2, 119, 130, 9000)] == [
        "\u2013", "0.0 s", "9.9 s", "48 s", "119 s", "2 min", "2.5 h",
    ]  # fmt: skip
    assert [share(value) for value in (0, 0.00001, 0.00331, 0.042, 0.5, 1.2)] == [
        "0 %", "less than 0.01 %", "0.33 %", "4.2 %", "50 %", "120 %",
    ]  # fmt: skip
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
