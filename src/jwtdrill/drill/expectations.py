"""What a drill declares of itself, in the experiment's `extensions` under the name `jwtdrill`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.objectives import Severity

Seconds = Annotated[float, Field(gt=0)]


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedAlert(_Declaration):
    """An alert that must be active in Alertmanager within so many seconds from the beginning of the fault."""

    name: str
    severity: Severity
    within: Seconds

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ALERT_NAMES:
            raise ValueError(f"unknown alert {name!r}: choose from {', '.join(ALERT_NAMES)}")
        return name


class Expectations(_Declaration):
    """What must follow from the drill's fault.

    recovery_within: seconds from the end of the fault until good tokens are accepted again, for good.
    """

    failure_mode: str
    alerts: tuple[ExpectedAlert, ...]
    recovery_within: Seconds
    false_accepts: Annotated[int, Field(ge=0)] = 0

    @field_validator("failure_mode")
    @classmethod
    def _known_mode(cls, mode: str) -> str:
        ids = [known.id for known in FAILURE_MODES]
        if mode not in ids:
            raise ValueError(f"unknown failure mode {mode!r}: choose from {', '.join(ids)}")
        return mode
