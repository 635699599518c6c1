"""Judges what a drill saw against what it declared: pure functions, no clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from jwtdrill.catalog.objectives import Indicator, Objective, Severity
from jwtdrill.catalog.verdicts import Tally, Verdict
from jwtdrill.drill.deadlines import Deadline, Demands
from jwtdrill.drill.expectations import Expectations, with_own
from jwtdrill.drill.record import AlertSpan, Interval, Phase, Record, SecondSeen
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
class Detection:
    """When an alert fired, in seconds from the fault's beginning, None if never; by when it had to, and the least."""

    name: str
    severity: str
    after: float | None
    least: float
    late: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A drill's verdict and figures; times in seconds, None where there is nothing to say.

    false_rejects: good tokens refused; good_errored: good tokens that met with an error or a time-out instead.
    detections: of each alert that was expected. others, stuck: names of alerts that fired without being announced, and
    of pages that did not go in time.
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
    detections: tuple[Detection, ...] = ()
    others: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()


def judge(record: Record, expected: Expectations, demanded: Demands, objectives: tuple[Objective, ...]) -> Judged:
    """The verdict. Whatever could not be seen makes the drill invalid, never held."""
    fault = _fault_interval(record)
    findings = [*_sanity(record, fault)] if not record.stopped else []
    invalid = bool(findings)
    if record.stopped:
        findings.append(Finding("The drill had no reason to stop itself", False, record.stopped))
    detections = tuple(_detection(record, one, fault) for one in demanded.deadlines)
    others, stuck = _unannounced(record, expected, objectives), _staying(record, demanded, fault)
    if fault is not None and not invalid:
        names = ", ".join(seen.name for seen in record.faults)
        findings.append(Finding("A fault was injected", bool(names), names or "none"))
        findings += _control(record)
        findings += [_alert(record, found) for found in detections]
        findings += [_others(record, others), _stuck(record, stuck, demanded)]
        findings += [_recovery(record, demanded, fault), _false_accepts(record, expected, fault)]
        findings.append(Finding("The steady state is back", not record.unsteady, record.unsteady or "it is"))
    violated = any(finding.met is False for finding in findings)
    outcome = Outcome.INVALID if invalid else Outcome.VIOLATED if violated else Outcome.HELD
    return Judged(
        outcome,
        tuple(findings),
        felt_after=_felt(record, fault),
        detected_after=_detected(detections),
        recovered_after=recovery_time(record.seconds, fault.end) if fault else None,
        false_rejects=sum(n for s in record.seconds for t, n in s.counts.items() if t.false_reject),
        good_errored=sum(
            n for s in record.seconds for t, n in s.counts.items() if t.expected.value == "accepted" and _errored(t)
        ),
        false_accepts=sum(s.false_accepts for s in record.seconds),
        budget_burned=budget_burned(record.seconds, objectives),
        detections=detections,
        others=others,
        stuck=stuck,
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


def _detection(record: Record, wanted: Deadline, fault: Interval | None) -> Detection:
    came = record.told(wanted.name, wanted.severity, fault.begin) if fault is not None else None
    after = came.first_seen - fault.begin if came is not None and fault is not None else None
    return Detection(wanted.name, wanted.severity.value, after, wanted.least, wanted.late)


def _alert(record: Record, found: Detection) -> Finding:
    what = f"{found.name} fires as a {found.severity} within {found.late:.1f} s"
    if record.alerts is None:
        return Finding(what, None, "alerts were not watched")
    if found.after is None:
        return Finding(what, False, "it did not fire")
    return Finding(what, found.after <= found.late, f"after {found.after:.1f} s, {found.least:.1f} s being the least")


def unannounced(alerts: Iterable[AlertSpan], announced: frozenset[str]) -> set[str]:
    """Names of those that somebody is told of, and that are not among the announced ones."""
    return {alert.name for alert in alerts if not alert.suppressed and alert.name not in announced}


def _unannounced(record: Record, expected: Expectations, objectives: tuple[Objective, ...]) -> tuple[str, ...]:
    """Since the control period began: what fired before it is another's."""
    seen = [alert for alert in record.alerts or () if alert.last_seen >= record.begin]
    return tuple(sorted(unannounced(seen, with_own(expected.announced, objectives))))


def _others(record: Record, others: tuple[str, ...]) -> Finding:
    if record.alerts is None:
        return Finding("No other alert", None, "alerts were not watched")
    return Finding("No other alert", not others, ", ".join(others) or "none")


def _staying(record: Record, demanded: Demands, fault: Interval | None) -> tuple[str, ...]:
    if fault is None:
        return ()
    latest = fault.end + demanded.gone_within
    return tuple(sorted({a.name for a in record.alerts or () if _pages(a) and a.last_seen > latest}))


def _stuck(record: Record, stuck: tuple[str, ...], demanded: Demands) -> Finding:
    what = f"Every page is gone within {demanded.gone_within:.0f} s"
    if record.alerts is None:
        return Finding(what, None, "alerts were not watched")
    if stuck:
        return Finding(what, False, ", ".join(stuck))
    on = sorted({a.name for a in record.alerts if _pages(a) and a.last_seen >= record.end - 1})
    if on:
        return Finding(what, None, f"the observation ended before that: {', '.join(on)}")
    return Finding(what, True, "they are")


def _pages(alert: AlertSpan) -> bool:
    return alert.severity == Severity.PAGE and not alert.suppressed


def _recovery(record: Record, demanded: Demands, fault: Interval) -> Finding:
    what = f"Good tokens are accepted again within {demanded.recovery_within:g} s"
    after = recovery_time(record.seconds, fault.end)
    if after is None:
        return Finding(what, False, "not by the end of the observation")
    return Finding(what, after <= demanded.recovery_within, f"after {after:.1f} s")


def _false_accepts(record: Record, expected: Expectations, fault: Interval) -> Finding:
    let_in = [second for second in record.seconds if second.false_accepts]
    count = sum(second.false_accepts for second in let_in)
    what = f"At most {expected.false_accepts} bad tokens are let in"
    if expected.false_accepts_within is None:
        return Finding(what, count <= expected.false_accepts, f"{count}")
    last = max((second.at + 1 - fault.begin for second in let_in), default=0.0)
    what += f", none later than {expected.false_accepts_within:g} s after the fault's beginning"
    met = count <= expected.false_accepts and last <= expected.false_accepts_within
    return Finding(what, met, f"{count}, the last after {max(0.0, last):.0f} s")


def _felt(record: Record, fault: Interval | None) -> float | None:
    if fault is None:
        return None
    hurt = [s.at for s in record.seconds if s.good_refused and s.at + 1 > fault.begin]
    return max(0.0, min(hurt) - fault.begin) if hurt else None


def _detected(detections: Iterable[Detection]) -> float | None:
    return min((d.after for d in detections if d.severity == Severity.PAGE and d.after is not None), default=None)


def _fault_interval(record: Record) -> Interval | None:
    return record.fault or record.phases.get(Phase.FAULT)
