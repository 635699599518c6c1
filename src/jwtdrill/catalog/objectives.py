"""Objectives and the burn-rate windows that guard them.

Windows after the SRE workbook, chapter "Alerting on SLOs" (multiwindow, multi-burn-rate); the critical tier pages
at a burn of 3 over a short window, for authentication that everything else depends on.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, with_config

from jwtdrill.catalog import metrics
from jwtdrill.catalog.metrics import Metric
from jwtdrill.errors import BadInputError


class Severity(StrEnum):
    """Whether an alert wakes somebody or waits for the morning."""

    PAGE = "page"
    TICKET = "ticket"


class Indicator(StrEnum):
    """What an objective measures."""

    ISSUANCE_SUCCESS = "issuance_success"
    ISSUANCE_LATENCY = "issuance_latency"
    VERIFICATION_SUCCESS = "verification_success"
    VERIFICATION_LATENCY = "verification_latency"
    INTROSPECTION_SUCCESS = "introspection_success"
    INTROSPECTION_LATENCY = "introspection_latency"
    CANARY_SUCCESS = "canary_success"
    FALSE_REJECTS = "false_rejects"
    ERRORS = "errors"

    @property
    def is_latency(self) -> bool:
        """Whether an event is good when it is quick enough."""
        return self in (self.ISSUANCE_LATENCY, self.VERIFICATION_LATENCY, self.INTROSPECTION_LATENCY)

    @property
    def metric(self) -> Metric | None:
        """What it is read from; None where only the harness can measure it."""
        return _METRICS.get(self)

    @property
    def needs_ground_truth(self) -> bool:
        """Whether only the harness, who knows what each token should have met with, can measure it."""
        return self.metric is None


_METRICS = {
    Indicator.ISSUANCE_SUCCESS: metrics.ISSUANCE,
    Indicator.ISSUANCE_LATENCY: metrics.ISSUANCE_DURATION,
    Indicator.VERIFICATION_SUCCESS: metrics.VERIFICATION,
    Indicator.VERIFICATION_LATENCY: metrics.VERIFICATION_DURATION,
    Indicator.INTROSPECTION_SUCCESS: metrics.INTROSPECTION,
    Indicator.INTROSPECTION_LATENCY: metrics.INTROSPECTION_DURATION,
    Indicator.CANARY_SUCCESS: metrics.CANARY,
}


@dataclass(frozen=True, slots=True)
class BurnTier:
    """One pair of windows. `spent`: the share of the period's budget that is gone when the tier fires.

    burn: the factor itself, for a tier of the user's own, in place of what follows from `spent`.
    """

    name: str
    spent: float
    long: timedelta
    short: timedelta
    severity: Severity
    hold: timedelta = timedelta(0)
    burn: float | None = None

    def factor(self, period: timedelta) -> float:
        """Burn rate at which the tier fires: how many times faster than the budget allows."""
        return self.burn if self.burn is not None else self.spent * (period / self.long)

    def soonest(self, period: timedelta, budget: float) -> timedelta:
        """When it fires in a total outage at ample traffic, beside scrape and evaluation."""
        return self.factor(period) * budget * self.long + self.hold


# From the fastest to the slowest: each inhibits those after it.
TIERS: tuple[BurnTier, ...] = (
    BurnTier("14.4x", 0.02, timedelta(hours=1), timedelta(minutes=5), Severity.PAGE),
    BurnTier("6x", 0.05, timedelta(hours=6), timedelta(minutes=30), Severity.PAGE),
    BurnTier("3x-critical", 1 / 240, timedelta(hours=1), timedelta(minutes=5), Severity.PAGE, timedelta(minutes=5)),
    BurnTier("3x", 0.10, timedelta(days=1), timedelta(hours=2), Severity.TICKET),
    BurnTier("1x", 0.10, timedelta(days=3), timedelta(hours=6), Severity.TICKET),
)
_TIER_BY_NAME = {tier.name: tier for tier in TIERS}


def _length(value: object) -> object:
    """`90m`, `12h` or `3d` as a length of time."""
    found = re.fullmatch(r"(\d{1,4})([mhd])", value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError(f"must be a length of time such as 5m, 12h or 3d, not {value!r}")
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[found[2]]: int(found[1])})


Length = Annotated[timedelta, BeforeValidator(_length)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Window:
    """A tier of the user's own: fires when both windows burn `burn` times faster than the budget allows."""

    name: str
    burn: float
    long: Length
    short: Length
    severity: Severity
    hold: Length = timedelta(0)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9._-]{1,30}", self.name):
            raise ValueError(f"name {self.name!r} must be of letters, digits, dots and dashes")
        if self.name in _TIER_BY_NAME:
            raise ValueError(f"name {self.name!r} is that of a tier: name it in tiers, or give yours another")
        if self.burn <= 0:
            raise ValueError(f"burn must be more than 0, not {self.burn:g}")
        if self.short >= self.long:
            raise ValueError("short must be shorter than long")

    @property
    def tier(self) -> BurnTier:
        """As the other tiers."""
        return BurnTier(self.name, 0.0, self.long, self.short, self.severity, self.hold, self.burn)


# Labels that scraping gives to every series; others of a user's own are named in the file's target_labels.
_TARGET_LABELS = ("job", "instance", "cluster", "namespace", "service", "pod", "region", "zone")
_OUTCOMES = ("result", "reason", "error", "le")  # tell good events from bad, so that nothing is judged apart by them


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Objective:
    """A share of events that must be good over a period. `threshold`: seconds, for latency.

    filter: labels that events must have; by: labels beside environment and issuer to judge apart; window: tiers of the
    user's own.
    """

    id: str
    requirement: str
    title: str
    indicator: Indicator
    objective: float
    threshold: float | None = None
    period_days: float = 30
    minimum_bad_events: float = 5
    tiers: tuple[str, ...] = field(default=())
    filter: dict[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    window: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", self.id):
            raise ValueError(f"id {self.id!r} must be of small letters, digits, dashes and underscores")
        if not 0 < self.objective < 1:
            raise ValueError(f"objective must lie between 0 and 1, not {self.objective:g}")
        if self.period_days <= 0:
            raise ValueError(f"period_days must be more than 0, not {self.period_days:g}")
        if self.indicator.is_latency != (self.threshold is not None):
            raise ValueError("threshold belongs to a latency indicator, and to no other")
        if self.indicator.needs_ground_truth and self.guarded:
            raise ValueError(f"{self.indicator} is measured by load tests alone: no tier can watch it")
        for name in self.tiers:
            if name not in _TIER_BY_NAME:
                raise ValueError(f"tier {name!r} is not one of {', '.join(_TIER_BY_NAME)}")
        can = [t.name for t in (*TIERS, *self._own_tiers) if t.factor(self.period) * self.budget < 1]
        cannot = [tier.name for tier in self.burn_tiers if tier.name not in can]
        if cannot:
            raise ValueError(
                f"an objective of {self.objective:g} can never burn fast enough for {', '.join(cannot)}: "
                f"take {', '.join(can) or 'no tier'}"
            )

    @property
    def budget(self) -> float:
        """Share of events that may be bad."""
        return 1 - self.objective

    @property
    def period(self) -> timedelta:
        """The window of the objective."""
        return timedelta(days=self.period_days)

    @property
    def guarded(self) -> bool:
        """Whether any tier watches it."""
        return bool(self.tiers or self.window)

    @property
    def burn_tiers(self) -> tuple[BurnTier, ...]:
        """Its tiers, fastest first; of the package's in the order in which they inhibit each other."""
        named = [tier for tier in TIERS if tier.name in self.tiers]
        if not self.window:
            return tuple(named)
        return tuple(sorted((*named, *self._own_tiers), key=lambda tier: -tier.factor(self.period)))

    @property
    def soonest(self) -> timedelta:
        """When the first of its tiers fires in a total outage at ample traffic."""
        return min(tier.soonest(self.period, self.budget) for tier in self.burn_tiers)

    @property
    def _own_tiers(self) -> tuple[BurnTier, ...]:
        return tuple(window.tier for window in self.window)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _ObjectivesFile:
    objective: tuple[Objective, ...]
    target_labels: tuple[str, ...] = ()


@cache
def objectives(path: Path | None = None) -> tuple[Objective, ...]:
    """The objectives of that file, or the package's own. Raises BadInputError with the line that is wrong."""
    from jwtdrill.toml import line_of, load_toml

    path = path or Path(__file__).with_name("slo.toml")
    file = load_toml(path, _ObjectivesFile)
    found = file.objective
    if not found:
        raise BadInputError(f"{path}: names no objective: nothing could hold or be violated")
    ids = [objective.id for objective in found]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise BadInputError(f"{path}: objective {', '.join(twice)} is defined twice: give each its own id")
    for number, objective in enumerate(found):
        for key, names in (("filter", tuple(objective.filter)), ("by", objective.by)):
            wrong = [name for name in names if name not in _labels(objective, file.target_labels)]
            if wrong:
                raise BadInputError(
                    f"{path}:{line_of(path.read_text(), ['objective', number, key])}: {key}: {', '.join(wrong)} is no "
                    f"label to judge by: choose from {', '.join(_labels(objective, file.target_labels)) or 'none'}, or "
                    "name it in target_labels, if scraping gives it to every series"
                )
    return found


def _labels(objective: Objective, target_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that the objective's events can be chosen and judged by."""
    metric = objective.indicator.metric
    if metric is None:
        return ()
    own = (name for name in metric.labels if name not in (*_OUTCOMES, "issuer"))
    return (*own, *_TARGET_LABELS, *target_labels)
