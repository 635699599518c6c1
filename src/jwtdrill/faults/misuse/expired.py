"""After a pause everybody comes at once, with tokens whose time is over."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class Expired(MisuseFault, misuse.Expired):
    """Until undone; parameters as in `flows.misuse.Expired`."""
