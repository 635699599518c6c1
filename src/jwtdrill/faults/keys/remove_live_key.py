"""The key that signs leaves the set although it is in use: a clean-up took it for one that is not needed any more."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class RemoveLiveKey(KeysFault):
    """Another key is left in the set, that nobody signs with: an empty one verifiers would not believe."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens there are"

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Publish one that is not used, and take away the one that is."""
        live = (await issuer.active())["kid"]
        await issuer.step("publish")
        await issuer.step("disable", kid=live)
