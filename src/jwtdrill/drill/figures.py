"""Figures of one drill beyond its verdict: what users felt and where, each alert's fate, what happened in what order.

Pure functions of the record. Times count in seconds from the beginning of the fault, or of the drill where they say so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jwtdrill.catalog.alerting import Alert, BurnAlert, Route
from jwtdrill.catalog.alerts import ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import Objective
from jwtdrill.catalog.verdicts import Expected
from jwtdrill.drill.deadlines import Demands
from jwtdrill.drill.expectations import Expectations, with_own
from jwtdrill.drill.judge import recovery_time
from jwtdrill.drill.record import AlertSpan, Interval, Phase, Record, SecondSeen

_CALL = "call"


class Fate(StrEnum):
    """What became of an alert, in the words of the report."""

    ON_TIME = "on time"
    LATE = "late"
    MISSED = "missed"
    NOT_WATCHED = "not watched"
    NOT_JUDGED = "not judged"
    EARLY = "before the fault"
    ALLOWED = "allowed"
    UNANNOUNCED = "not announced"
    UNTOLD = "nobody was told"

    @property
    def good(self) -> bool | None:
        """Whether it went as it must; None where nothing was asked of it."""
        if self in (Fate.MISSED, Fate.LATE, Fate.UNANNOUNCED, Fate.EARLY):
            return False
        return True if self is Fate.ON_TIME else None


TELLING = (Fate.ON_TIME, Fate.LATE, Fate.ALLOWED)  # of the drill's own fault


@dataclass(frozen=True, slots=True)
class AlertFigure:
    """An alert that was expected or seen. within: what was allowed, None if it was not expected; after: when it came.

    lasted: seconds, from first to last sight; note: what was seen in place of a missed one; runbook: its page's name.
    """

    name: str
    severity: str
    fate: Fate
    within: float | None
    after: float | None
    lasted: float | None
    route: Route
    runbook: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Propagation:
    """How the fault reached one place. felt_after: when it first did not accept a good token, None: it always did.

    clean_after: seconds from the end of the fault to the last such second, None: never, or it was not clean by the end.
    """

    place: str
    felt_after: float | None
    clean_after: float | None
    turned_away: int
    sent: int


class Kind(StrEnum):
    """What a moment of the timeline is about."""

    DRILL = "drill"
    FAULT = "fault"
    USERS = "users"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. at: seconds from the drill's beginning; after: from the fault's, if there was one."""

    at: float
    after: float | None
    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a report says of a drill. hurt_seconds: in how many seconds a good token was turned away, fault begun.

    noticed_after: the first alert that tells of the fault; None: none came, or nobody watched.
    """

    hurt_seconds: int
    turned_away: int
    noticed_after: float | None
    propagation: tuple[Propagation, ...]
    alerts: tuple[AlertFigure, ...]
    timeline: tuple[Moment, ...]

    def fated(self, *fates: Fate) -> tuple[AlertFigure, ...]:
        """The alerts of one of those fates."""
        return tuple(alert for alert in self.alerts if alert.fate in fates)

    @property
    def hurt(self) -> tuple[Propagation, ...]:
        """The places that turned good tokens away, the first first."""
        felt = [one for one in self.propagation if one.felt_after is not None]
        return tuple(sorted(felt, key=lambda one: (one.felt_after, one.place)))


def figures(
    record: Record, expected: Expectations, demands: Demands, objectives: Sequence[Objective], *, judged: bool = True
) -> Figures:
    """All figures of a drill. judged: whether it is valid, so that an alert that did not come is missed."""
    fault = record.fault or record.phases.get(Phase.FAULT)
    after = [s for s in record.seconds if fault is not None and s.at + 1 > fault.begin and s.good_refused]
    alerts = _alerts(record, expected, demands, objectives, fault, judged) if fault is not None else ()
    places = _propagation(record.seconds, fault) if fault is not None else ()
    told = [alert.after for alert in alerts if alert.fate in TELLING and alert.after is not None]
    return Figures(
        hurt_seconds=len(after),
        turned_away=sum(second.good_refused for second in after),
        noticed_after=min(told, default=None),
        propagation=places,
        alerts=alerts,
        timeline=_timeline(record, places, fault),
    )


def let_in(record: Record) -> dict[tuple[str, str], int]:
    """How many bad tokens were let in, by case and place."""
    found: dict[tuple[str, str], int] = {}
    for second in record.seconds:
        for tally, count in second.counts.items():
            if tally.false_accept:
                place = tally.case, tally.resource
                found[place] = found.get(place, 0) + count
    return dict(sorted(found.items()))


def _propagation(seconds: Sequence[SecondSeen], fault: Interval) -> tuple[Propagation, ...]:
    """Every resource that is called with a token, and whatever else turned a good one away."""
    begun = [second for second in seconds if second.at + 1 > fault.begin]
    called = {(t.flow, t.resource) for s in begun for t in s.counts if t.expected is Expected.ACCEPTED}
    found = []
    for place in sorted({resource for _, resource in called}):
        alone = [_only(second, place) for second in begun]
        bad = [second.at for second in alone if second.good_refused]
        if not bad and (_CALL, place) not in called:
            continue
        found.append(
            Propagation(
                place,
                felt_after=max(0.0, min(bad) - fault.begin) if bad else None,
                clean_after=recovery_time(alone, fault.end) if bad else None,
                turned_away=sum(second.good_refused for second in alone),
                sent=sum(second.good_sent for second in alone),
            )
        )
    return tuple(found)


def _only(second: SecondSeen, place: str) -> SecondSeen:
    counts = {tally: n for tally, n in second.counts.items() if tally.resource == place}
    return SecondSeen(second.at, counts, second.latency_mean, second.latency_max)


def _alerts(
    record: Record,
    expected: Expectations,
    demands: Demands,
    objectives: Sequence[Objective],
    fault: Interval,
    judged: bool,
) -> tuple[AlertFigure, ...]:
    """First those that had to come, then the others that were seen."""
    known = _known(objectives)
    spans = record.alerts or []
    control = record.phases.get(Phase.CONTROL)

    def figure(
        name: str, severity: str, fate: Fate, span: AlertSpan | None, within: float | None = None
    ) -> AlertFigure:
        alert = known.get(name)
        note = _instead(name, severity, spans, fault) if fate is Fate.MISSED else ""
        runbook = alert.runbook if isinstance(alert, BurnAlert) else name
        return AlertFigure(
            name=name,
            severity=severity,
            fate=fate,
            within=within,
            after=span.first_seen - fault.begin if span else None,
            lasted=span.last_seen - span.first_seen if span else None,
            route=alert.route if alert is not None else Route.SERVICE,
            runbook=runbook if alert is not None else "",
            note=note,
        )

    found, explained = [], set()
    for wanted in demands.deadlines:
        came = record.told(wanted.name, wanted.severity, fault.begin)
        if record.alerts is None:
            fate = Fate.NOT_WATCHED
        elif came is None:
            fate = Fate.MISSED if judged else Fate.NOT_JUDGED
        else:
            fate = Fate.ON_TIME if came.first_seen - fault.begin <= wanted.late else Fate.LATE
        explained.add((wanted.name, wanted.severity.value))
        found.append(figure(wanted.name, wanted.severity, fate, came, wanted.late))
    announced = with_own(expected.announced, objectives)
    for (name, severity), group in sorted(_grouped(spans).items(), key=lambda item: item[1].first_seen):
        early = control is not None and any(
            control.holds(s.first_seen) for s in spans if (s.name, s.severity) == (name, severity)
        )
        if early:
            found.append(figure(name, severity, Fate.EARLY, group))
        elif (name, severity) not in explained:
            found.append(figure(name, severity, _fate_beside(group, announced), group))
    return tuple(found)


def _fate_beside(span: AlertSpan, announced: frozenset[str]) -> Fate:
    if span.suppressed:
        return Fate.UNTOLD
    return Fate.ALLOWED if span.name in announced else Fate.UNANNOUNCED


def _grouped(spans: Iterable[AlertSpan]) -> dict[tuple[str, str], AlertSpan]:
    """Of each name and severity the first that somebody was told of, or else the first."""
    groups: dict[tuple[str, str], list[AlertSpan]] = {}
    for span in spans:
        groups.setdefault((span.name, span.severity), []).append(span)
    return {key: min(group, key=lambda span: (span.suppressed, span.first_seen)) for key, group in groups.items()}


def _instead(name: str, severity: str, spans: Iterable[AlertSpan], fault: Interval) -> str:
    """What was seen of an alert that did not come as it had to."""
    own = [span for span in spans if span.name == name]
    if any(span.severity == severity and span.suppressed for span in own):
        return "it was active, but inhibited or silenced"
    if any(span.severity == severity and span.first_seen < fault.begin for span in own):
        return "it was active already before the fault"
    other = sorted({span.severity for span in own})
    return f"it came as a {' and a '.join(other)} only" if other else "it was never active"


def _known(objectives: Sequence[Objective]) -> Mapping[str, Alert]:
    own = [burn_alert(objective) for objective in objectives if objective.guarded]
    return {alert.name: alert for alert in (*ALERTS, *own)}


def _timeline(record: Record, places: Sequence[Propagation], fault: Interval | None) -> tuple[Moment, ...]:
    """What the drill did, when each place failed and was well again, and the alerts that somebody was told of."""
    seen: list[tuple[float, Kind, str]] = [(action.at, Kind.DRILL, action.what) for action in record.actions]
    seen += [(interval.begin, Kind.DRILL, f"phase {phase} begins") for phase, interval in record.phases.items()]
    for one in record.faults:
        seen += [
            (one.begin, Kind.FAULT, f"fault {one.name} in force"),
            (one.end, Kind.FAULT, f"fault {one.name} ended"),
        ]
    for place in places:
        if fault is not None and place.felt_after is not None:
            seen.append((fault.begin + place.felt_after, Kind.USERS, f"{place.place} turns the first good token away"))
            if place.clean_after is not None:
                seen.append(
                    (fault.end + place.clean_after, Kind.USERS, f"{place.place} accepts every good token again")
                )
    for span in _grouped(record.alerts or ()).values():
        if not span.suppressed:
            seen.append((span.first_seen, Kind.ALERT, f"{span.severity} {span.name} is active"))
            if span.last_seen < record.end - 1:
                seen.append((span.last_seen, Kind.ALERT, f"{span.severity} {span.name} is over"))
    if record.problem:
        seen.append((max([record.end, *(at for at, _, _ in seen)]), Kind.DRILL, f"trouble: {record.problem}"))
    return tuple(
        Moment(at - record.begin, None if fault is None else at - fault.begin, kind, what)
        for at, kind, what in sorted(seen, key=lambda moment: moment[0])
    )
