"""Judges what a drill saw against what it declared: pure functions, no clock, no I/O."""

from dataclasses import dataclass

from jwtdrill.catalog.objectives import Indicator, Objective, Severity
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.drill.expectations import Expectations, ExpectedAlert, with_own
from jwtdrill.drill.record import AlertSpan, Interval, Phase, Record, SecondSeen
from jwtdrill.load.scoreboard import Tally
from jwtdrill.load.verdict import Outcome

_CLEAN_SECONDS = 3  # that must be seen clean at the end for a recovery to count
_LEAST_ANSWERS = 50  # in a phase, below which a drill says nothing of it


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation and whether it was met; `met` None: not judged."""

    what: str
    met: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A drill's verdict and figures; times in seconds, None where there is nothing to say.

    false_rejects: good tokens refused; good_errored: good tokens that met with an error or a time-out instead.
    """

    outcome: Outcome
    findings: tuple[Finding, ...]
    felt_after: float | None
    detected_after: float | None
    recovered_after: float | None
    false_rejects: int
    good_errored: int
    false_accepts: int
    budget_burned: float


def judge(record: Record, expected: Expectations, objectives: tuple[Objective, ...]) -> Judged:
    """The verdict. Whatever could not be seen makes the drill invalid, never held."""
    fault = _fault_interval(record)
    findings = [*_sanity(record, fault)]
    invalid = bool(findings)
    if fault is not None and not invalid:
        names = ", ".join(seen.name for seen in record.faults)
        findings.append(Finding("A fault was injected", bool(names), names or "none"))
        findings += _control(record)
        findings += [_alert(record, alert, fault) for alert in expected.alerts]
        findings += _other_pages(record, expected, objectives)
        findings += [_recovery(record, expected, fault), _false_accepts(record, expected)]
        findings.append(Finding("The steady state is back", not record.unsteady, record.unsteady or "it is"))
    violated = any(finding.met is False for finding in findings)
    outcome = Outcome.INVALID if invalid else Outcome.VIOLATED if violated else Outcome.HELD
    return Judged(
        outcome,
        tuple(findings),
        felt_after=_felt(record, fault),
        detected_after=_detected(record, expected, fault),
        recovered_after=recovery_time(record.seconds, fault.end) if fault else None,
        false_rejects=sum(n for s in record.seconds for t, n in s.counts.items() if t.false_reject),
        good_errored=sum(
            n for s in record.seconds for t, n in s.counts.items() if t.expected.value == "accepted" and _errored(t)
        ),
        false_accepts=sum(s.false_accepts for s in record.seconds),
        budget_burned=budget_burned(record.seconds, objectives),
    )


def recovery_time(seconds: list[SecondSeen], fault_end: float) -> float | None:
    """Seconds from the end of the fault to the end of the last second in which a good token was not accepted.

    None when the end of the observation was not clean.
    """
    after = [second for second in seconds if second.at + 1 > fault_end and second.good_sent]
    bad = [second.at + 1 for second in after if second.good_refused]
    last_bad = max(bad, default=fault_end)
    if sum(1 for second in after if second.at >= last_bad) < _CLEAN_SECONDS:
        return None
    return max(0.0, last_bad - fault_end)


def budget_burned(seconds: list[SecondSeen], objectives: tuple[Objective, ...]) -> float:
    """Share of the verification objective's budget that went: seconds of total outage against those allowed."""
    objective = next((o for o in objectives if o.indicator is Indicator.VERIFICATION_SUCCESS), None)
    if objective is None:
        return 0.0
    lost = sum(second.good_refused / second.good_sent for second in seconds if second.good_sent)
    return lost / (objective.period.total_seconds() * objective.budget)


def tallies_by_phase(record: Record) -> dict[Phase, dict[Tally, int]]:
    """The confusion matrix of each phase."""
    result: dict[Phase, dict[Tally, int]] = {}
    for phase, interval in record.phases.items():
        counts = result.setdefault(phase, {})
        for second in record.seconds:
            if interval.holds(second.at):
                for tally, count in second.counts.items():
                    counts[tally] = counts.get(tally, 0) + count
    return result


def _errored(tally: Tally) -> bool:
    return tally.verdict in (Verdict.ERRORED, Verdict.THROTTLED)


def _sanity(record: Record, fault: Interval | None) -> list[Finding]:
    """What makes a drill say nothing."""
    if record.problem:
        return [Finding("The drill ran to its end", False, record.problem)]
    problems = [
        Finding(f"Load ran in the phase {phase}", False, f"{seen}, at least {_LEAST_ANSWERS} answers are needed")
        for phase in (Phase.CONTROL, Phase.FAULT)
        if (seen := _too_little_seen(record, phase))
    ]
    if not problems and fault is not None and not _overlap(fault, record.phases[Phase.FAULT]):
        problems.append(Finding("The fault was observed", False, "it was over before the phase fault began"))
    return problems


def _too_little_seen(record: Record, phase: Phase) -> str:
    interval = record.phases.get(phase)
    if interval is None:
        return f"the experiment has no phase called {phase}"
    answers = sum(second.sent for second in record.seconds if interval.holds(second.at))
    return f"{answers} answers" if answers < _LEAST_ANSWERS else ""


def _overlap(one: Interval, other: Interval) -> bool:
    return max(one.begin, other.begin) < min(one.end, other.end)


def _control(record: Record) -> list[Finding]:
    control = record.phases[Phase.CONTROL]
    seconds = [s for s in record.seconds if control.begin <= s.at and s.at + 1 <= control.end]
    wrong = sum(s.good_refused + s.false_accepts for s in seconds)
    sent = sum(s.sent for s in seconds)
    findings = [Finding("Control period is clean", wrong == 0, f"{wrong} wrong of {sent} answers")]
    if record.alerts is not None:
        early = sorted({a.name for a in record.alerts if control.holds(a.first_seen)})
        findings.append(Finding("Nothing fires in the control period", not early, ", ".join(early) or "no alert"))
    return findings


def _alert(record: Record, expected: ExpectedAlert, fault: Interval) -> Finding:
    what = f"{expected.name} fires as a {expected.severity} within {expected.within:g} s"
    if record.alerts is None:
        return Finding(what, None, "alerts were not watched")
    after = _seen_after(record, expected, fault)
    if after is None:
        return Finding(what, False, "it did not fire")
    return Finding(what, after <= expected.within, f"after {after:.1f} s")


def _seen_after(record: Record, expected: ExpectedAlert, fault: Interval) -> float | None:
    return min(
        (
            a.first_seen - fault.begin
            for a in record.alerts or ()
            if a.name == expected.name
            and a.severity == expected.severity
            and not a.suppressed
            and a.first_seen >= fault.begin
        ),
        default=None,
    )


def _other_pages(record: Record, expected: Expectations, objectives: tuple[Objective, ...]) -> list[Finding]:
    if record.alerts is None:
        return [Finding("No other page", None, "alerts were not watched")]
    pages = {alert.name for alert in expected.alerts if alert.severity is Severity.PAGE}
    announced = with_own(pages | set(expected.may), objectives)
    others = sorted({a.name for a in record.alerts if _pages(a) and a.name not in announced})
    return [Finding("No other page", not others, ", ".join(others) or "none")]


def _pages(alert: AlertSpan) -> bool:
    return alert.severity == Severity.PAGE and not alert.suppressed


def _recovery(record: Record, expected: Expectations, fault: Interval) -> Finding:
    what = f"Good tokens are accepted again within {expected.recovery_within:g} s"
    after = recovery_time(record.seconds, fault.end)
    if after is None:
        return Finding(what, False, "not by the end of the observation")
    return Finding(what, after <= expected.recovery_within, f"after {after:.1f} s")


def _false_accepts(record: Record, expected: Expectations) -> Finding:
    let_in = sum(second.false_accepts for second in record.seconds)
    return Finding(
        f"At most {expected.false_accepts} bad tokens are let in", let_in <= expected.false_accepts, f"{let_in}"
    )


def _felt(record: Record, fault: Interval | None) -> float | None:
    if fault is None:
        return None
    hurt = [s.at for s in record.seconds if s.good_refused and s.at + 1 > fault.begin]
    return max(0.0, min(hurt) - fault.begin) if hurt else None


def _detected(record: Record, expected: Expectations, fault: Interval | None) -> float | None:
    if fault is None:
        return None
    times = [_seen_after(record, a, fault) for a in expected.alerts if a.severity is Severity.PAGE]
    known = [time for time in times if time is not None]
    return min(known) if known else None


def _fault_interval(record: Record) -> Interval | None:
    if record.faults:
        return Interval(min(f.begin for f in record.faults), max(f.end for f in record.faults))
    return record.phases.get(Phase.FAULT)
