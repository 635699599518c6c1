"""What the faults of an issuer's keys share: one at a time, and one way back.

The way back is the issuer's own step `mend`, which needs no memory of what was done: the agent may have been started
anew since.
"""

import asyncio
from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.issuer_admin import IssuerAdmin

_RETRY_SECONDS = 0.5
UNTIL_FETCHED = AfterEffect(
    "until each verifier fetches the key set again: at most its cache lifetime and a back-off",
    ("cache_lifetime", "retry"),
)
UNTIL_EXPIRED = AfterEffect(
    "until each verifier has fetched the key set again and the tokens that were signed otherwise have expired",
    ("cache_lifetime", "retry", "token_lifetime"),
)


@dataclass
class KeysFault:
    """A fault of the issuer's keys, by its admin interface."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that are issued meanwhile"
    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED
    place: ClassVar[str | None] = "keys"

    def check(self, site: Site) -> None:
        """Raises BadInputError without an issuer to tell."""
        _issuer(site)

    async def apply(self, site: Site) -> None:
        """Break the keys until undone."""
        await self.break_keys(_issuer(site))

    async def undo(self, site: Site) -> None:
        """Have the issuer mend what a rotation must never leave behind."""
        await _issuer(site).step("mend")

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """The steps that do it. Raises MissingPartError, BadInputError."""
        raise NotImplementedError


async def step_later(issuer: IssuerAdmin, seconds: float, step: str, kid: str) -> None:
    """Take that step after so many seconds, and again until the issuer obeys."""
    await asyncio.sleep(seconds)
    while True:
        try:
            await issuer.step(step, kid=kid)
        except MissingPartError:
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


def _issuer(site: Site) -> IssuerAdmin:
    return site.require_issuer("a fault of keys")
