"""The clock of one process is wrong by a fixed time, really: libfaketime reads the offset from a file."""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site
from jwtdrill.processes.clocks import set_offset


@dataclass(frozen=True)
class Skew:
    """`clock`: whose; `seconds`: below zero for a clock that is behind."""

    clock: str
    seconds: Annotated[float, Field(ge=-86400, le=86400)]

    blast_radius: ClassVar[str] = "the one process whose clock is moved"
    after_effect: ClassVar[str] = "about a second, until the process looks at the offset again"

    def check(self, site: Site, name: str) -> None:  # noqa: ARG002
        """Raises BadInputError for a clock that is not ours."""
        if self.clock not in site.clocks:
            raise BadInputError(
                f"clock {self.clock!r} cannot be moved: this agent can move {', '.join(site.clocks) or 'none'}"
            )

    async def apply(self, site: Site, name: str) -> None:
        """Move the clock until undone."""
        self.check(site, name)
        set_offset(site.clocks[self.clock], self.seconds)

    async def undo(self, site: Site, name: str) -> None:  # noqa: ARG002
        """Set the clock right."""
        if self.clock in site.clocks:
            set_offset(site.clocks[self.clock], 0)
