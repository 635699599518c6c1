"""What the faults of an issuer's keys share: one at a time, and one way back.

The way back is the issuer's own step `mend`, which needs no memory of what was done: the agent may have been started
anew since.
"""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site

UNTIL_FETCHED = AfterEffect(
    "until each verifier fetches the key set again: at most its cache lifetime and a back-off",
    ("cache_lifetime", "retry"),
)


@dataclass
class KeysFault:
    """A fault of the issuer's keys, by its admin interface."""

    place: ClassVar[str | None] = "keys"

    def check(self, site: Site) -> None:
        """Raises BadInputError without an issuer to tell."""
        site.require_issuer("a fault of keys")

    async def undo(self, site: Site) -> None:
        """Have the issuer mend what a rotation must never leave behind."""
        await site.require_issuer("a fault of keys").step("mend")
