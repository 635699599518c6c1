"""The issuer signs with a new key and drops the old one from the set while its tokens are still in use."""

from dataclasses import field
from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site


@dataclass
class RotateWithoutOverlap:
    """No parameters."""

    _old: str | None = field(default=None, init=False, repr=False)

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that the old key signed"
    after_effect: ClassVar[str] = "until each verifier fetches the set again: at most its cache lifetime"

    def check(self, site: Site, name: str) -> None:
        """Raises BadInputError without an issuer to tell."""
        if site.issuer is None:
            raise BadInputError(f"{name}: this agent has no admin interface of an issuer")

    async def apply(self, site: Site, name: str) -> None:
        """Rotate at once."""
        self.check(site, name)
        assert site.issuer is not None
        old = next(key["kid"] for key in await site.issuer.keys() if key["state"] == "active")
        self._old = old  # noted first: an answer may be lost after its step was taken
        await site.issuer.step("activate", await site.issuer.step("publish"))
        await site.issuer.step("remove", old)

    async def undo(self, site: Site, name: str) -> None:  # noqa: ARG002
        """Put the old key back as retired; the new one stays active, as after any rotation."""
        if site.issuer is None or self._old is None:
            return
        if any(key["kid"] == self._old and key["state"] == "removed" for key in await site.issuer.keys()):
            await site.issuer.step("restore", self._old)
