"""The issuer signs with a new key and drops the old one from the set while its tokens are still in use."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class RotateWithoutOverlap(KeysFault):
    """The new key stays active afterwards, as after any rotation; the old one comes back as retired."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that the old key signed"

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Rotate at once."""
        old = await issuer.active()
        await issuer.step("activate", kid=await issuer.step("publish"))
        await issuer.step("remove", kid=old["kid"])
