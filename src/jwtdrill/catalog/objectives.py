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
    def needs_ground_truth(self) -> bool:
        """Whether only the harness, who knows what each token should have met with, can measure it."""
        return self in (self.FALSE_REJECTS, self.ERRORS)


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


_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


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
        for name in (*self.filter, *self.by):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is no label's name")
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
    def _own_tiers(self) -> tuple[BurnTier, ...]:
        return tuple(window.tier for window in self.window)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class _ObjectivesFile:
    objective: tuple[Objective, ...]


@cache
def objectives(path: Path | None = None) -> tuple[Objective, ...]:
    """The objectives of that file, or the package's own. Raises BadInputError with the line that is wrong."""
    from jwtdrill.toml import load_toml

    path = path or Path(__file__).with_name("slo.toml")
    found = load_toml(path, _ObjectivesFile).objective
    if not found:
        raise BadInputError(f"{path}: names no objective: nothing could hold or be violated")
    ids = [objective.id for objective in found]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise BadInputError(f"{path}: objective {', '.join(twice)} is defined twice: give each its own id")
    return found
