"""Two replicas of the issuer disagree: tokens are signed in turn by the active key and by one that nobody published."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class TwoSigners(KeysFault):
    """The other key is published afterwards, as retired."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for every other token that is issued meanwhile"

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Let a new key sign every other token."""
        await issuer.step("alternate", kid=await issuer.step("generate"))
