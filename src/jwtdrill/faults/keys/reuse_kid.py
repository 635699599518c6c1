"""A new key takes the old one's place under its kid: verifiers believe that they know it."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import UNTIL_EXPIRED, KeysFault


@dataclass
class ReuseKid(KeysFault):
    """Tokens of both keys name one kid, which a set can have once: those of the old key are refused meanwhile.

    Afterwards the old key has its kid back and the new one goes on under one of its own: the tokens that it signed
    under the old one's kid are refused from then on.
    """

    blast_radius: ClassVar[str] = "every verifier of the issuer: new tokens until it fetches, then the old key's tokens"
    after_effect: ClassVar[AfterEffect] = UNTIL_EXPIRED

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Let the new key sign at once."""
        await issuer.step("reuse_kid")
