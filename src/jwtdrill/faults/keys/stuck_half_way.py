"""A rotation's job dies half-way: the new key is published, and signs nowhere or at one of two signers only."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class StuckHalfWay(KeysFault):
    """`begun`: one of two signers has begun to sign with the new key. Both keys are in the set: good tokens go on.

    What tells of it is the issuer's count of rotations that failed.
    """

    begun: bool = False

    blast_radius: ClassVar[str] = "nobody yet: the old key signs on, or both do"
    after_effect: ClassVar[AfterEffect] = AfterEffect("not at all: both keys stay in the set", seconds=0)

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Begin a rotation and give it up."""
        new = await issuer.step("publish")
        if self.begun:
            await issuer.step("alternate", kid=new)
        await issuer.step("give_up")
