"""A drill holds only when everything it declared was seen; what could not be seen makes it invalid."""

from dataclasses import replace

import pytest

from jwtdrill.catalog.objectives import Severity, objectives
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.drill.deadlines import Deadline, Demands
from jwtdrill.drill.expectations import Expectations, ExpectedAlert
from jwtdrill.drill.judge import Judged, budget_burned, judge, recovery_time
from jwtdrill.drill.record import AlertSpan, FaultSeen, Interval, Phase, Record, SecondSeen
from jwtdrill.load.verdict import Outcome

ACCEPTED = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.ACCEPTED)
REFUSED = Tally("call", "valid", "a", Expected.ACCEPTED, Verdict.REJECTED)
CAUGHT = Tally("call", "expired", "a", Expected.REJECTED, Verdict.REJECTED)
LET_IN = Tally("call", "expired", "a", Expected.REJECTED, Verdict.ACCEPTED)
PAGE = "JwtVerificationBudgetBurn"
FIRES = f"{PAGE} fires as a page within 10.0 s"
EXPECTED = Expectations(failure_mode="F10", depth=0.5, alerts=(ExpectedAlert(name=PAGE, severity=Severity.PAGE),))
DEMANDS = Demands((Deadline(PAGE, Severity.PAGE, least=5),), recovery_within=5, gone_within=15)


def second(at: int, good: int = 100, refused: int = 0, let_in: int = 0) -> SecondSeen:
    counts = {ACCEPTED: good, REFUSED: refused, CAUGHT: 10, LET_IN: let_in}
    return SecondSeen(at, {tally: n for tally, n in counts.items() if n}, 0.01, 0.02)


def span(name: str = PAGE, first: float = 25, severity: str = "page", suppressed: bool = False) -> AlertSpan:
    return AlertSpan(name, severity, {}, first, first + 10, suppressed)


def record() -> Record:
    """Control 0-20, fault 20-40 felt from 22, recovery 40-60 with the last refusal at 41."""
    return Record(
        phases={Phase.CONTROL: Interval(0, 20), Phase.FAULT: Interval(20, 40), Phase.RECOVERY: Interval(40, 60)},
        faults=[FaultSeen("jwks.status", {}, 20, 40)],
        alerts=[span()],
        seconds=[second(at, refused=50 if 22 <= at <= 41 else 0) for at in range(60)],
    )


def judged(seen: Record, expected: Expectations = EXPECTED) -> Judged:
    return judge(seen, expected, DEMANDS, objectives())


def unmet(seen: Record) -> list[str]:
    return [finding.what for finding in judged(seen).findings if finding.met is False]


def test_a_drill_that_went_as_declared_holds_with_its_times() -> None:
    result = judged(record())
    assert result.outcome is Outcome.HELD
    assert (result.felt_after, result.detected_after, result.recovered_after) == (2, 5, 2)
    assert (result.false_rejects, result.false_accepts) == (1000, 0)


def test_a_drill_whose_fault_was_taken_out_fails() -> None:
    seen = record()
    seen.faults, seen.alerts = [], []
    seen.seconds = [second(at) for at in range(60)]
    assert judged(seen).outcome is Outcome.VIOLATED
    assert unmet(seen) == ["A fault was injected", FIRES]


@pytest.mark.parametrize(
    ("alerts", "what"),
    [
        ([], FIRES),
        ([span(first=31)], FIRES),
        ([span(severity="ticket")], FIRES),
        ([span(suppressed=True)], FIRES),
        ([span(), span("JwtIssuanceBudgetBurn")], "No other alert"),
        ([span(), span("JwtClockOffset", severity="ticket")], "No other alert"),
        ([span(), span(first=50)], "Every page is gone within 15 s"),
        ([span(), span("JwtClockOffset", first=3, severity="ticket")], "Nothing fires in the control period"),
    ],
)
def test_missing_late_wrong_and_early_alerts_fail(alerts: list[AlertSpan], what: str) -> None:
    seen = record()
    seen.alerts = alerts
    assert what in unmet(seen)


def test_another_alert_that_is_inhibited_or_of_another_time_is_no_failure() -> None:
    seen = record()
    others = [span("JwtIssuanceBudgetBurn", suppressed=True), span("JwtClockOffset", first=-12, severity="ticket")]
    seen.alerts = [span(), *others]
    assert judged(seen).outcome is Outcome.HELD


def test_another_alert_that_may_fire_or_detects_the_failure_mode_is_no_failure() -> None:
    seen = record()
    assert seen.alerts is not None
    seen.alerts += [span("JwtCanaryBudgetBurn"), span("JwtIssuanceBudgetBurn")]
    assert judged(seen).others == ("JwtIssuanceBudgetBurn",)
    allowed = EXPECTED.model_copy(update={"may": ("JwtIssuanceBudgetBurn",)})
    assert judged(seen, allowed).outcome is Outcome.HELD


def test_a_page_that_is_on_when_the_observation_ends_too_early_is_not_judged() -> None:
    seen = record()
    assert seen.alerts is not None
    seen.alerts[0].last_seen = 50
    seen.phases[Phase.RECOVERY] = Interval(40, 50)
    assert [f.what for f in judged(seen).findings if f.met is None] == ["Every page is gone within 15 s"]


def test_a_drill_that_stopped_itself_is_violated_and_says_why() -> None:
    seen = record()
    seen.stopped = "97% of good calls fail"
    del seen.phases[Phase.RECOVERY]
    assert judged(seen).outcome is Outcome.VIOLATED
    assert unmet(seen)[0] == "The drill had no reason to stop itself"


def test_false_accepts_are_bounded_in_number_and_in_time() -> None:
    seen = record()
    seen.seconds[25] = second(25, let_in=3)
    allowed = EXPECTED.model_copy(update={"false_accepts": 3, "false_accepts_within": 6})
    assert judged(seen, allowed).outcome is Outcome.HELD
    for tighter in ({"false_accepts": 2}, {"false_accepts_within": 5.5}):
        assert judged(seen, allowed.model_copy(update=tighter)).outcome is Outcome.VIOLATED


def test_the_page_of_a_users_own_objective_is_announced_with_its_kind() -> None:
    verification = next(o for o in objectives() if o.id == "verification")
    mine = (*objectives(), replace(verification, id="partner", filter={"audience": "x"}))
    seen = record()
    assert seen.alerts is not None
    seen.alerts.append(span("JwtPartnerBudgetBurn"))
    assert judge(seen, EXPECTED, DEMANDS, objectives()).outcome is Outcome.VIOLATED
    assert judge(seen, EXPECTED, DEMANDS, mine).outcome is Outcome.HELD


def test_a_refusal_in_the_control_period_fails() -> None:
    seen = record()
    seen.seconds[5] = second(5, refused=1)
    assert unmet(seen) == ["Control period is clean"]


def test_one_bad_token_let_in_fails() -> None:
    seen = record()
    seen.seconds[30] = second(30, let_in=1)
    assert unmet(seen) == ["At most 0 bad tokens are let in"]


def test_no_recovery_within_the_observation_fails() -> None:
    seen = record()
    seen.seconds[58] = second(58, refused=1)
    assert judged(seen).recovered_after is None
    assert unmet(seen) == ["Good tokens are accepted again within 5 s"]


def test_late_recovery_fails() -> None:
    seen = record()
    seen.seconds[50] = second(50, refused=1)
    assert judged(seen).recovered_after == 11
    assert unmet(seen) == ["Good tokens are accepted again within 5 s"]


def test_without_a_watch_alerts_are_not_judged() -> None:
    seen = record()
    seen.alerts = None
    assert judged(seen).outcome is Outcome.HELD
    assert [f.what for f in judged(seen).findings if f.met is None] == [
        FIRES,
        "No other alert",
        "Every page is gone within 15 s",
    ]


@pytest.mark.parametrize("spoil", ["problem", "load", "no fault phase", "no control phase", "unseen"])
def test_what_could_not_be_seen_is_invalid_and_never_held(spoil: str) -> None:
    seen = record()
    if spoil == "problem":
        seen.problem = "the load died"
    elif spoil == "load":
        seen.seconds = []
    elif spoil == "unseen":
        seen.faults = [FaultSeen("jwks.status", {}, 19, 19.5)]
    else:
        del seen.phases[Phase.FAULT if spoil == "no fault phase" else Phase.CONTROL]
    assert judged(seen).outcome is Outcome.INVALID


def test_a_steady_state_that_did_not_come_back_fails() -> None:
    seen = record()
    seen.unsteady = "verifier-a: valid token errored"
    assert judged(seen).outcome is Outcome.VIOLATED
    assert unmet(seen) == ["The steady state is back"]


def test_recovery_is_counted_from_the_end_of_the_fault_to_the_last_refusal() -> None:
    seconds = [second(at, refused=9 if at <= 43 else 0) for at in range(35, 60)]
    assert recovery_time(seconds, 40.5) == 3.5
    assert recovery_time([second(at) for at in range(35, 60)], 40.5) == 0
    assert recovery_time([], 40.5) is None


def test_the_budget_counts_seconds_of_total_outage() -> None:
    """0.1 % of 30 days are 2,592 seconds."""
    half = [replace(second(at, good=50, refused=50)) for at in range(100)]
    assert budget_burned(half, objectives()) == pytest.approx(50 / 2592)
