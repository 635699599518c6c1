"""What the faults of clocks share: whose clock it is, and how its offset goes on.

The offset is real: libfaketime reads it from a file, every second or two (`processes.clocks`).
"""

import asyncio
import contextlib
import time
from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.processes.clocks import set_offset

ISSUER = "issuer"  # the clock of that name is by which tokens are issued
MOST_OFFSET = 86400.0  # seconds
Offset = Annotated[float, Field(ge=-MOST_OFFSET, le=MOST_OFFSET)]
Delay = Annotated[float, Field(ge=0, le=3600)]
_OF_ISSUER = AfterEffect("until the tokens with wrong times have expired", ("token_lifetime",))
_OF_VERIFIER = AfterEffect("two seconds at most, until the process looks at the offset again")
_STEP_SECONDS = 0.25


@dataclass(config=ConfigDict(arbitrary_types_allowed=True))
class ClockFault:
    """`clock`: whose; `issuer` is the issuer's."""

    clock: str
    _moving: asyncio.Task[None] | None = field(default=None, init=False, repr=False)

    blast_radius: ClassVar[str] = "the one process whose clock is moved, and whoever relies on its times"

    @property
    def place(self) -> str | None:
        """That clock."""
        return f"clock.{self.clock}"

    @property
    def after_effect(self) -> AfterEffect:
        """Tokens that an issuer dated wrongly live on."""
        return _OF_ISSUER if self.clock == ISSUER else _OF_VERIFIER

    def offset(self, elapsed: float) -> float:
        """By how many seconds the clock is ahead when the fault has lasted that many."""
        raise NotImplementedError

    @property
    def settled(self) -> float:
        """Seconds from the beginning after which the offset stays as it is."""
        return 0.0

    def check(self, site: Site) -> None:
        """Raises BadInputError for a clock that is not ours."""
        site.clock(self.clock)

    async def apply(self, site: Site) -> None:
        """Move the clock until undone."""
        set_offset(site.clock(self.clock), self.offset(0))
        if self.settled:
            self._moving = asyncio.create_task(self._move(site))

    async def undo(self, site: Site) -> None:
        """Set the clock right."""
        if self._moving is not None:
            self._moving.cancel()
        set_offset(site.clock(self.clock), 0)

    async def _move(self, site: Site) -> None:
        began, elapsed = time.monotonic(), 0.0
        while elapsed < self.settled:
            await asyncio.sleep(_STEP_SECONDS)
            elapsed = time.monotonic() - began
            with contextlib.suppress(OSError):  # tried again a moment later
                set_offset(site.clock(self.clock), self.offset(elapsed))
