"""Forged tokens, or with `stolen_key` such as a thief of the issuer's key signs."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class Forged(MisuseFault, misuse.Forged):
    """Until undone; parameters as in `flows.misuse.Forged`."""
