"""By when an alert must fire follows from its windows, the fault's depth and the traffic."""

from dataclasses import replace

import pytest

from jwtdrill.catalog.objectives import Severity, objectives
from jwtdrill.drill.deadlines import Demands, demands
from jwtdrill.drill.expectations import Expectations, ExpectedAlert
from jwtdrill.errors import BadInputError
from jwtdrill.observe.timing import TimeScale

PAGE, TICKET = Severity.PAGE, Severity.TICKET


def demanded(
    name: str,
    severity: Severity = PAGE,
    *,
    depth: float = 1.0,
    calls: float = 200,
    scale: float = 60,
    felt: float = 0,
    per_second: float | None = None,
) -> Demands:
    alert = ExpectedAlert(name=name, severity=severity, per_second=per_second)
    expected = Expectations(failure_mode="F10", depth=depth, felt_within=felt, alerts=(alert,))
    return demands(expected, calls, objectives(), TimeScale(scale), after_effect=7)


def least(*args: object, **kwargs: object) -> float:
    return demanded(*args, **kwargs).deadlines[0].least  # type: ignore[arg-type]


def test_a_total_outage_burns_as_the_workbook_says() -> None:
    """14.4 times 0.1 % of an hour are 51.84 s; scraping and evaluating take 15 s each, or 1 s scaled."""
    assert least("JwtVerificationBudgetBurn", scale=1) == pytest.approx(51.84 + 30)
    assert least("JwtVerificationBudgetBurn") == pytest.approx(51.84 / 60 + 2)


def test_half_an_outage_takes_twice_as_long_and_a_cache_delays_it() -> None:
    assert least("JwtVerificationBudgetBurn", depth=0.5, scale=1) == pytest.approx(2 * 51.84 + 30)
    assert least("JwtVerificationBudgetBurn", felt=15) == pytest.approx(15 + 51.84 / 60 + 2)


def test_at_little_traffic_the_least_number_of_bad_events_decides() -> None:
    assert least("JwtVerificationBudgetBurn", calls=1) == pytest.approx(5 + 2)


def test_a_slower_tier_is_asked_for_by_its_severity() -> None:
    """3 times 0.1 % of a day are 259.2 s."""
    assert least("JwtVerificationBudgetBurn", TICKET) == pytest.approx(259.2 / 60 + 2)


def test_an_alert_that_does_not_shrink_is_waited_for_as_long_as_its_rule_does() -> None:
    """65 minutes, however fast the lab is watched; beside them one scrape and one evaluation."""
    assert least("JwtFaultLeft", TICKET) == pytest.approx(65 * 60 + 2)


def test_a_users_own_tiers_count() -> None:
    verification = next(one for one in objectives() if one.id == "verification")
    mine = tuple(replace(o, tiers=("6x",)) if o.id == "verification" else o for o in objectives())
    alert = ExpectedAlert(name="JwtVerificationBudgetBurn", severity=PAGE)
    expected = Expectations(failure_mode="F10", depth=1, alerts=(alert,))
    assert "14.4x" in verification.tiers
    slower = demands(expected, 200, mine, TimeScale(60), 0)
    assert slower.deadlines[0].least == pytest.approx(6 * 0.001 * 360 + 2)  # six hours are 360 s
    ticket = expected.model_copy(update={"alerts": (alert.model_copy(update={"severity": TICKET}),)})
    with pytest.raises(BadInputError, match="is no ticket: objective verification has no such tier"):
        demands(ticket, 200, mine, TimeScale(60), 0)
    none = tuple(replace(o, tiers=()) if o.id == "verification" else o for o in objectives())
    with pytest.raises(BadInputError, match="not among the alerts of the target's own objectives"):
        demands(expected, 200, none, TimeScale(60), 0)


def test_an_alert_on_events_waits_for_their_number_and_their_share_and_for_its_hold() -> None:
    """100 unknown kids in five minutes, a twentieth of all, for five minutes."""
    assert least("JwtUnknownKidFlood", TICKET, calls=0.001, per_second=10) == pytest.approx(10 + 5 + 2)
    window, share, good, bad = 5, 0.05, 1000, 60
    wanted = share * good * window / (bad * (1 - share))
    assert wanted > 100 / bad
    assert least("JwtUnknownKidFlood", TICKET, calls=1000, per_second=60) == pytest.approx(wanted + 5 + 2)


def test_an_alert_of_another_severity_cannot_fire() -> None:
    with pytest.raises(BadInputError, match="JwtClockOffset is a ticket, not a page"):
        demanded("JwtClockOffset")


def test_late_is_more_than_the_larger_of_five_seconds_and_half() -> None:
    assert demanded("JwtVerificationBudgetBurn", felt=0).deadlines[0].late == pytest.approx(51.84 / 60 + 2 + 5)
    assert demanded("JwtVerificationBudgetBurn", felt=40).deadlines[0].late == pytest.approx(1.5 * (42 + 51.84 / 60))


def test_recovery_takes_what_the_fault_declares_and_pages_go_when_their_short_window_has_forgotten() -> None:
    found = demanded("JwtVerificationBudgetBurn")
    assert found.recovery_within == 7
    assert found.gone_within == 7 + (30 + 4) + 5  # half an hour is the longest short window that pages
