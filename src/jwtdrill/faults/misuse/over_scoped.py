"""Good tokens that may far more than the resource asks for."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class OverScoped(MisuseFault, misuse.OverScoped):
    """Until undone; parameters as in `flows.misuse.OverScoped`."""
