"""When an alert must fire at the latest, and be gone: derived from its windows, the fault's depth and the traffic.

The least time is what theory allows: until the fault is felt, then until enough has gone wrong, then the rule's `for`,
and what scraping and evaluating take. Late is what takes longer by more than the larger of five seconds and half of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from jwtdrill.catalog.alerting import Alert, BurnAlert, DetectionAlert
from jwtdrill.catalog.alerts import ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import BurnTier, Objective, Severity
from jwtdrill.drill.expectations import Expectations, ExpectedAlert
from jwtdrill.errors import BadInputError
from jwtdrill.observe.timing import TimeScale

_GRACE = 5.0  # seconds
_GRACE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Deadline:
    """Of one alert, in seconds from the fault's beginning: the least that theory allows, and when it is late."""

    name: str
    severity: Severity
    least: float

    @property
    def late(self) -> float:
        """After which it counts as late."""
        return self.least + max(_GRACE, _GRACE_SHARE * self.least)


@dataclass(frozen=True, slots=True)
class Demands:
    """All that a drill demands, in seconds.

    gone_within: from the end of the fault until every page that fired is gone; recovery_within: until good tokens are
    accepted again.
    """

    deadlines: tuple[Deadline, ...]
    recovery_within: float
    gone_within: float


def demands(
    expected: Expectations, calls: float, objectives: Sequence[Objective], scale: TimeScale, after_effect: float
) -> Demands:
    """What follows from the declaration at so many good calls a second. Raises BadInputError for what cannot fire.

    after_effect: seconds, of the faults together.
    """
    recovery = expected.recovery_within if expected.recovery_within is not None else after_effect
    deadlines = tuple(_deadline(alert, expected, calls, objectives, scale) for alert in expected.alerts)
    shortest = [_until_gone(alert, objectives, scale) for alert in ALERTS if alert.name in expected.announced]
    settle = max(recovery, expected.false_accepts_within or 0.0)
    return Demands(deadlines, recovery, settle + max(shortest, default=0.0) + max(_GRACE, _GRACE_SHARE * settle))


def _deadline(
    alert: ExpectedAlert, expected: Expectations, calls: float, objectives: Sequence[Objective], scale: TimeScale
) -> Deadline:
    bad = alert.per_second if alert.per_second is not None else expected.depth * calls
    felt = alert.felt_within if alert.felt_within is not None else expected.felt_within
    looks = 2 * scale.interval  # one scrape and one evaluation, at worst
    known = next(one for one in ALERTS if one.name == alert.name)
    if isinstance(known, BurnAlert):
        objective = _objective(known.name, objectives)
        tiers = [tier for tier in objective.burn_tiers if tier.severity is alert.severity]
        if not tiers:
            raise BadInputError(f"{alert.name} is no {alert.severity}: objective {objective.id} has no such tier")
        depth = min(1.0, bad / calls) if alert.per_second is None else 1.0
        return Deadline(
            alert.name, alert.severity, felt + looks + min(_burns(t, objective, bad, depth, scale) for t in tiers)
        )
    if known.severity is not alert.severity:
        raise BadInputError(f"{alert.name} is a {known.severity}, not a {alert.severity}")
    return Deadline(alert.name, alert.severity, felt + looks + _builds_up(known, bad, calls, scale))


def _objective(alert: str, objectives: Iterable[Objective]) -> Objective:
    found = next((one for one in objectives if one.guarded and burn_alert(one).name == alert), None)
    if found is None:
        raise BadInputError(f"{alert} is not among the alerts of the target's own objectives")
    return found


def _burns(tier: BurnTier, objective: Objective, bad: float, depth: float, scale: TimeScale) -> float:
    """Seconds until a tier fires: history that is missing counts as good, whatever there is burns at that depth."""
    spends = tier.factor(objective.period) * objective.budget * scale.seconds(tier.long) / depth
    return max(spends, objective.minimum_bad_events / bad) + _hold(tier.hold, scale)


def _builds_up(alert: DetectionAlert, bad: float, good: float, scale: TimeScale) -> float:
    scale = scale.of(alert)
    counts = alert.needs.after(bad, good, scale.seconds(alert.needs.window)) if alert.needs is not None else 0.0
    return max(counts, alert.builds_up.total_seconds() / scale.factor) + _hold(alert.hold, scale)


def _hold(length: timedelta, scale: TimeScale) -> float:
    return length.total_seconds() / scale.factor


def _until_gone(alert: Alert, objectives: Sequence[Objective], scale: TimeScale) -> float:
    """Seconds from the last bad event until it pages no more: its short window has forgotten, and it was looked at."""
    looks = 4 * scale.interval
    if isinstance(alert, BurnAlert):
        guarded = [one for one in objectives if one.guarded and burn_alert(one).name == alert.name]
        tiers = [tier for one in guarded for tier in one.burn_tiers if tier.severity is Severity.PAGE]
        return looks + max((scale.seconds(tier.short) for tier in tiers), default=0.0)
    if alert.severity is not Severity.PAGE or alert.needs is None:
        return 0.0
    return looks + scale.seconds(alert.needs.window)
