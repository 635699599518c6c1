"""What a report says of a drill follows from its record: where users felt it, each alert's fate, what came when."""

from dataclasses import replace

import pytest
from tests.drill import days
from tests.drill.days import BURN, Wanted, between, expected, never, record, span

from jwtdrill.catalog.alerting import Route
from jwtdrill.catalog.objectives import objectives
from jwtdrill.drill.figures import Fate, Figures, Kind, figures, let_in
from jwtdrill.drill.record import AlertSpan, Record
from jwtdrill.drill.result import DrillResult
from jwtdrill.load.verdict import Outcome

PAGE = expected("F8", (BURN, "page", 10))


def of(seen: Record, wanted: Wanted = PAGE) -> Figures:
    return figures(seen, *wanted, objectives())


def fates(alerts: list[AlertSpan] | None, wanted: Wanted = PAGE) -> dict[str, Fate]:
    found = of(record({"a": between(1, 20)}, alerts), wanted).alerts
    return {f"{alert.severity} {alert.name}": alert.fate for alert in found}


def test_propagation_says_when_each_resource_first_failed_and_when_it_was_clean_again() -> None:
    """The fault is in force from 0.2 s to 25.1 s of its phase; the fastest resource comes first among the hurt."""
    found = of(record({"a": between(2, 24), "b": between(12, 30, 0.3), "c": never}, []))
    by_place = {one.place: one for one in found.propagation}
    assert set(by_place) == {"a", "b", "c"}  # the token endpoint turned nothing away, and is no resource
    assert by_place["a"].felt_after == pytest.approx(1.8)
    assert by_place["a"].clean_after == 0
    assert by_place["b"].felt_after == pytest.approx(11.8)
    assert by_place["b"].clean_after == pytest.approx(4.9)
    assert (by_place["b"].turned_away, by_place["b"].sent) == (18 * 30, 45 * 100)
    assert (by_place["c"].felt_after, by_place["c"].clean_after, by_place["c"].turned_away) == (None, None, 0)
    assert [one.place for one in found.hurt] == ["a", "b"]
    assert found.hurt_seconds == 28
    assert found.turned_away == 22 * 100 + 18 * 30


def test_a_resource_that_still_fails_at_the_end_is_not_clean() -> None:
    [one] = of(record({"a": between(2, 44)}, [])).propagation
    assert one.clean_after is None


def test_an_endpoint_that_hands_out_tokens_is_listed_once_it_fails() -> None:
    seen = record({"a": never}, [])
    tally = next(t for t in seen.seconds[25].counts if t.resource == "token endpoint")
    failed = tally._replace(verdict=days.Verdict.ERRORED)
    seen.seconds[25] = replace(seen.seconds[25], counts={**seen.seconds[25].counts, failed: 3})
    assert {one.place: one.turned_away for one in of(seen).propagation} == {"a": 0, "token endpoint": 3}


@pytest.mark.parametrize(
    ("alerts", "fate"),
    [
        ([span(BURN, 5, 20)], Fate.ON_TIME),
        ([span(BURN, 11, 20)], Fate.LATE),
        ([], Fate.MISSED),
        ([span(BURN, 5, 20, suppressed=True)], Fate.MISSED),
        (None, Fate.NOT_WATCHED),
    ],
)
def test_the_fate_of_an_alert_that_must_come(alerts: list[AlertSpan] | None, fate: Fate) -> None:
    assert fates(alerts)[f"page {BURN}"] is fate


@pytest.mark.parametrize(
    ("alert", "fate"),
    [
        (span("JwtTokenMisuseSpike", 5, 9), Fate.UNANNOUNCED),
        (span("JwtTokenMisuseSpike", 5, 9, suppressed=True), Fate.UNTOLD),
        (span("JwtUnknownKidFlood", 5, 9, "ticket"), Fate.UNANNOUNCED),
        (span("JwtIssuanceBudgetBurn", 5, 9), Fate.ALLOWED),
        (span("JwtRotationFailed", 5, 9, "ticket"), Fate.ALLOWED),
        (span("JwtTokenMisuseSpike", -9, 30), Fate.EARLY),
    ],
)
def test_the_fate_of_an_alert_that_was_not_asked_for(alert: AlertSpan, fate: Fate) -> None:
    wanted = expected("F8", (BURN, "page", 10), may=("JwtIssuanceBudgetBurn",))
    assert fates([span(BURN, 5, 20), alert], wanted)[f"{alert.severity} {alert.name}"] is fate


@pytest.mark.parametrize(
    ("alerts", "note"),
    [
        ([], "it was never active"),
        ([span(BURN, 5, 20, "ticket")], "it came as a ticket only"),
        ([span(BURN, 5, 20, suppressed=True)], "it was active, but inhibited or silenced"),
        ([span(BURN, -5, 40)], "it was active already before the fault"),
    ],
)
def test_a_missed_alert_says_what_was_seen_in_its_place(alerts: list[AlertSpan], note: str) -> None:
    [missed] = of(record({"a": between(1, 20)}, alerts)).fated(Fate.MISSED)
    assert missed.note == note
    assert (missed.route, missed.runbook) == (Route.PLATFORM, BURN)


@pytest.mark.parametrize("make", days.ALL)
def test_fates_and_verdict_never_contradict_each_other(make: object) -> None:
    result: DrillResult = make()  # type: ignore[operator]
    found = figures(
        result.record,
        result.expected,
        result.demands,
        objectives(),
        judged=result.judged.outcome is not Outcome.INVALID,
    )
    bad = [alert for alert in found.alerts if alert.fate.good is False]
    if result.judged.outcome is not Outcome.VIOLATED:
        assert not bad
    unmet = [finding.what for finding in result.judged.findings if finding.met is False]
    for alert in bad:
        assert any(alert.name in what for what in unmet) or "No other alert" in unmet


def test_of_an_alert_with_many_series_the_first_that_was_told_counts() -> None:
    spans = [span(BURN, 3, 5, suppressed=True), span(BURN, 8, 5), span(BURN, 6, 9)]
    [alert] = of(record({"a": between(1, 20)}, spans)).alerts
    assert alert.after == pytest.approx(5.8)


def test_noticed_is_the_first_alert_that_tells_of_this_fault() -> None:
    spans = [span("JwtTokenMisuseSpike", 2, 9), span(BURN, 7, 9)]
    assert of(record({"a": between(1, 20)}, spans)).noticed_after == pytest.approx(6.8)
    assert of(record({"a": between(1, 20)}, spans[:1])).noticed_after is None


def test_the_timeline_is_in_order_and_holds_what_was_done_broken_felt_and_told() -> None:
    timeline = of(
        record({"a": between(2, 24), "b": never}, [span(BURN, 5, 9), span(BURN, 1, 9, "ticket", True)])
    ).timeline
    assert [moment.at for moment in timeline] == sorted(moment.at for moment in timeline)
    assert [moment.what for moment in timeline if moment.kind is not Kind.DRILL] == [
        "fault jwks.status in force",
        "a turns the first good token away",
        f"page {BURN} is active",
        f"page {BURN} is over",
        "fault jwks.status ended",
        "a accepts every good token again",
    ]
    done = [moment.what for moment in timeline if moment.kind is Kind.DRILL]
    assert done[0].startswith("load: 20 clients")
    assert done[1:] == ["phase control begins", "phase fault begins", "phase recovery begins", "load stopped"]


def test_an_alert_that_is_active_at_the_end_is_not_called_over() -> None:
    timeline = of(record({"a": between(2, 24)}, [span(BURN, 5, 40)])).timeline
    assert not [moment for moment in timeline if moment.what.endswith("is over")]


def test_what_was_let_in_is_counted_by_case_and_place() -> None:
    assert let_in(days.let_in().record) == {("alg_none", "verifier-a"): 12}
