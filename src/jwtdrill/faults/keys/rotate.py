"""A rotation as it should be, or nearly: the new key is published, signs after a while, and the old one stays.

With a long enough `overlap` it is no fault at all, and a drill shows that nobody feels it; with a short one the new key
signs before every cache knows it.
"""

import asyncio
from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault, step_later


@dataclass(config=ConfigDict(arbitrary_types_allowed=True))
class Rotate(KeysFault):
    """`overlap`: seconds from publishing to signing. When the fault ends before that, the new key never signs."""

    overlap: Annotated[float, Field(ge=0, le=3600)] = 0
    _activating: asyncio.Task[None] | None = field(default=None, init=False, repr=False)

    blast_radius: ClassVar[str] = "verifiers that do not know the new key yet when it signs"

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Publish at once, activate later."""
        new = await issuer.step("publish")
        self._activating = asyncio.create_task(step_later(issuer, self.overlap, "activate", new))

    async def undo(self, site: Site) -> None:
        """What has been done stays: it is a rotation."""
        if self._activating is not None:
            self._activating.cancel()
        await super().undo(site)
