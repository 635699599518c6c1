"""A drill's claim to the target: no fault, but under a lease like one, so that two drills never meet there."""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site

CLAIM = "drill.claim"


@dataclass(frozen=True)
class Claim:
    """`by`: which drill it is, for whoever is kept away."""

    by: Annotated[str, Field(max_length=200)]

    blast_radius: ClassVar[str] = "nobody: other drills are kept away"
    after_effect: ClassVar[AfterEffect] = AfterEffect("not at all", seconds=0)
    place: ClassVar[str | None] = "drill"

    def check(self, site: Site) -> None:
        """There is always something to claim."""

    async def apply(self, site: Site) -> None:
        """The lease is all."""

    async def undo(self, site: Site) -> None:
        """Nothing was done."""
