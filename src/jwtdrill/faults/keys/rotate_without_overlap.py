"""The issuer signs with a new key and drops the old one from the set while its tokens are still in use."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.keys.base import UNTIL_FETCHED, KeysFault


@dataclass
class RotateWithoutOverlap(KeysFault):
    """The new key stays active afterwards, as after any rotation; the old one comes back as retired."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that the old key signed"
    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED

    async def apply(self, site: Site) -> None:
        """Rotate at once."""
        issuer = site.require_issuer("keys.rotate_without_overlap")
        old = next(key["kid"] for key in await issuer.keys() if key["state"] == "active")
        await issuer.step("activate", await issuer.step("publish"))
        await issuer.step("remove", old)
