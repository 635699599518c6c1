"""Tokens that are good, but for somebody else."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class WrongAudience(MisuseFault, misuse.WrongAudience):
    """Until undone; parameters as in `flows.misuse.WrongAudience`."""
