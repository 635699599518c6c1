"""What a drill declares of itself, in the experiment's `extensions` under the name `jwtdrill`."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from jwtdrill.catalog.alerts import ALERT_NAMES, ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.target.model import check_url

Seconds = Annotated[float, Field(gt=0, le=7200)]
Delay = Annotated[float, Field(ge=0, le=7200)]
SourceUrl = Annotated[str, AfterValidator(check_url)]
Share = Annotated[float, Field(ge=0, le=1)]
_BEYOND_DEPTH = 0.25  # of the calls, by which a fault may cut deeper than declared before the drill stops itself


def _known_alert(name: str) -> str:
    if name not in ALERT_NAMES:
        raise ValueError(f"unknown alert {name!r}: choose from {', '.join(ALERT_NAMES)}")
    return name


AlertName = Annotated[str, AfterValidator(_known_alert)]


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedAlert(_Declaration):
    """An alert that must be active in Alertmanager. By when follows from its windows, the traffic, and this:

    felt_within: seconds from the fault's beginning until what the alert counts can come, at most; the drill's own by
    default. per_second: how many of these come then; by default the drill's depth of all calls.
    """

    name: AlertName
    severity: Severity
    felt_within: Delay | None = None
    per_second: Annotated[float, Field(gt=0)] | None = None


class Expectations(_Declaration):
    """What must follow from the drill's fault.

    parts: of a lab that is raised for the drill, beside what every lab has. sources: where the incident is described
    that it replays. depth: the share of good calls that fail once it is felt. felt_within: seconds until then, at most:
    caches. may: other alerts that may fire, for they tell of the same fault, beside those that the catalogue expects.
    recovery_within: seconds from the end of the fault until good tokens are accepted again, for good; by default the
    after-effect that the fault declares. false_accepts: bad tokens that may be let in at most, and
    false_accepts_within: none of them later than so many seconds after the fault's beginning. most_failing: the share
    of good calls that may fail before the drill stops itself, over a few seconds.
    """

    failure_mode: str
    parts: tuple[str, ...] = ()
    sources: tuple[SourceUrl, ...] = ()
    depth: Share = 0.0
    felt_within: Delay = 0.0
    alerts: tuple[ExpectedAlert, ...] = ()
    may: tuple[AlertName, ...] = ()
    recovery_within: Seconds | None = None
    false_accepts: Annotated[int, Field(ge=0)] = 0
    false_accepts_within: Seconds | None = None
    most_failing: Share | None = None

    @field_validator("failure_mode")
    @classmethod
    def _known_mode(cls, mode: str) -> str:
        ids = [known.id for known in FAILURE_MODES]
        if mode not in ids:
            raise ValueError(f"unknown failure mode {mode!r}: choose from {', '.join(ids)}")
        return mode

    @model_validator(mode="after")
    def _can_be_felt(self) -> "Expectations":
        for alert in self.alerts:
            if self.depth == 0 and alert.per_second is None:
                raise ValueError(f"{alert.name}: give the drill a depth above 0, or the alert a per_second")
        return self

    @property
    def announced(self) -> frozenset[str]:
        """The names of all alerts that it says will or may fire, and of those that the catalogue expects beside them.

        These are the ones that detect its failure mode, and the symptoms of those that must fire: what they silence,
        once they are there.
        """
        must = {alert.name for alert in self.alerts}
        beside = (
            name
            for alert in ALERTS
            for name in (
                *([alert.name] if self.failure_mode in alert.detects else []),
                *(alert.silences if alert.name in must else []),
            )
        )
        return frozenset((*must, *self.may, *beside))

    @property
    def stops_at(self) -> float:
        """The share of good calls that fail above which the drill stops itself."""
        return self.most_failing if self.most_failing is not None else min(1.0, self.depth + _BEYOND_DEPTH)


def with_own(names: Iterable[str], objectives: Iterable[Objective]) -> frozenset[str]:
    """Those alerts, and those of a user's own objectives that read the page of one of them."""
    named = frozenset(names)
    guards = [burn_alert(objective) for objective in objectives if objective.guarded]
    return named | {alert.name for alert in guards if alert.runbook in named}
