"""A signing key is stolen: the issuer changes to a new one and, when it has had the time to, revokes the old one.

What the thief does with it is another fault, `misuse.forged`, by the signing key that the target file names: which is
the very key that signs when this fault begins.
"""

import asyncio
from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import UNTIL_EXPIRED, KeysFault, step_later


@dataclass(config=ConfigDict(arbitrary_types_allowed=True))
class Compromise(KeysFault):
    """`revoke_after`: seconds that the stolen key stays good for. At the latest it is revoked when the fault ends.

    It stays revoked: the thief has it still.
    """

    revoke_after: Annotated[float, Field(ge=0, le=3600)] = 0
    _revoking: asyncio.Task[None] | None = field(default=None, init=False, repr=False)

    blast_radius: ClassVar[str] = "everybody whom forged tokens reach, and all good tokens that the stolen key signed"
    after_effect: ClassVar[AfterEffect] = UNTIL_EXPIRED

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Change keys at once."""
        await issuer.step("mend")  # afterwards the key that signs is the one in the key file
        stolen = (await issuer.active())["kid"]
        await issuer.step("compromise", kid=stolen)
        await issuer.step("activate", kid=await issuer.step("publish"))
        self._revoking = asyncio.create_task(step_later(issuer, self.revoke_after, "revoke", stolen))

    async def undo(self, site: Site) -> None:
        """The issuer remembers which key was stolen, and revokes it."""
        if self._revoking is not None:
            self._revoking.cancel()
        await super().undo(site)
