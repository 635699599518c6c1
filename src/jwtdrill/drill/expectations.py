"""What a drill declares of itself, in the experiment's `extensions` under the name `jwtdrill`."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.objectives import Objective, Severity

Seconds = Annotated[float, Field(gt=0)]


def _known_alert(name: str) -> str:
    if name not in ALERT_NAMES:
        raise ValueError(f"unknown alert {name!r}: choose from {', '.join(ALERT_NAMES)}")
    return name


AlertName = Annotated[str, AfterValidator(_known_alert)]


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedAlert(_Declaration):
    """An alert that must be active in Alertmanager within so many seconds from the beginning of the fault."""

    name: AlertName
    severity: Severity
    within: Seconds


class Expectations(_Declaration):
    """What must follow from the drill's fault.

    may: other alerts that may fire, for they tell of the same fault, if nothing silences them in time.
    recovery_within: seconds from the end of the fault until good tokens are accepted again, for good.
    """

    failure_mode: str
    alerts: tuple[ExpectedAlert, ...]
    may: tuple[AlertName, ...] = ()
    recovery_within: Seconds
    false_accepts: Annotated[int, Field(ge=0)] = 0

    @field_validator("failure_mode")
    @classmethod
    def _known_mode(cls, mode: str) -> str:
        ids = [known.id for known in FAILURE_MODES]
        if mode not in ids:
            raise ValueError(f"unknown failure mode {mode!r}: choose from {', '.join(ids)}")
        return mode

    @property
    def announced(self) -> frozenset[str]:
        """The names of all alerts that it says will or may fire."""
        return frozenset((*(alert.name for alert in self.alerts), *self.may))


def with_own(names: Iterable[str], objectives: Iterable[Objective]) -> frozenset[str]:
    """Those alerts, and those of a user's own objectives that read the page of one of them."""
    named = frozenset(names)
    guards = [burn_alert(objective) for objective in objectives if objective.guarded]
    return named | {alert.name for alert in guards if alert.runbook in named}
