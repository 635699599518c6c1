"""One good token comes from many addresses."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class Spray(MisuseFault, misuse.Spray):
    """Until undone; parameters as in `flows.misuse.Spray`."""
