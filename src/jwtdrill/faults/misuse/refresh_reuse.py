"""A used refresh token is presented again, as its thief or its owner would."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class RefreshReuse(MisuseFault, misuse.RefreshReuse):
    """Until undone; parameters as in `flows.misuse.RefreshReuse`."""

    blast_radius: ClassVar[str] = "the token endpoint: its load, metrics and logs; refresh tokens of one client of ours"
