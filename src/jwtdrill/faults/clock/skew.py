"""The clock of one process is wrong by a fixed time, really: libfaketime reads the offset from a file."""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.processes.clocks import set_offset


@dataclass(frozen=True)
class Skew:
    """`clock`: whose; `seconds`: below zero for a clock that is behind."""

    clock: str
    seconds: Annotated[float, Field(ge=-86400, le=86400)]

    blast_radius: ClassVar[str] = "the one process whose clock is moved, and whoever relies on its times"
    after_effect: ClassVar[AfterEffect] = AfterEffect("about a second, until the process looks at the offset again")

    @property
    def place(self) -> str | None:
        """That clock."""
        return f"clock.{self.clock}"

    def check(self, site: Site) -> None:
        """Raises BadInputError for a clock that is not ours."""
        site.clock(self.clock)

    async def apply(self, site: Site) -> None:
        """Move the clock until undone."""
        set_offset(site.clock(self.clock), self.seconds)

    async def undo(self, site: Site) -> None:
        """Set the clock right."""
        set_offset(site.clock(self.clock), 0)
