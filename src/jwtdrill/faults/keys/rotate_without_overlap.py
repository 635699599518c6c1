"""The issuer signs with a new key and drops the old one from the set while its tokens are still in use."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site
from jwtdrill.faults.lease import Undo


@dataclass(frozen=True)
class RotateWithoutOverlap:
    """No parameters."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that the old key signed"
    after_effect: ClassVar[str] = "until each verifier fetches the set again: at most its cache lifetime"

    async def apply(self, site: Site, name: str) -> Undo:
        """Rotate at once; undone by putting the old key back as retired."""
        issuer = site.issuer
        if issuer is None:
            raise BadInputError(f"{name}: this agent has no admin interface of an issuer")
        old = next(key["kid"] for key in await issuer.keys() if key["state"] == "active")
        await issuer.step("activate", await issuer.step("publish"))
        await issuer.step("remove", old)

        async def undo() -> None:
            if any(key["kid"] == old and key["state"] == "removed" for key in await issuer.keys()):
                await issuer.step("restore", old)

        return undo
