"""A clock that ran ahead is stepped back to the right time while the process runs, as NTP does it.

What was dated meanwhile then lies in the future, and what was counted by that clock is counted twice.
"""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.clock.base import MOST_OFFSET, ClockFault, Delay


@dataclass
class BackStep(ClockFault):
    """It is ahead by `seconds` from the beginning, and right again `after` that many."""

    seconds: Annotated[float, Field(gt=0, le=MOST_OFFSET)]
    after: Delay = 10.0

    def offset(self, elapsed: float) -> float:
        """All of it, then nothing."""
        return self.seconds if elapsed < self.after else 0.0

    @property
    def settled(self) -> float:
        """When it is right again."""
        return self.after
