"""A token that is good once comes again and again."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class Replay(MisuseFault, misuse.Replay):
    """Until undone; parameters as in `flows.misuse.Replay`."""
