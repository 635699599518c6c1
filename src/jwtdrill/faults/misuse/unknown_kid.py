"""A flood of tokens under key ids that nobody has published."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class UnknownKid(MisuseFault, misuse.UnknownKid):
    """Until undone; parameters as in `flows.misuse.UnknownKid`."""
