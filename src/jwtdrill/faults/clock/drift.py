"""The clock of one process goes too fast or too slowly, as where nothing disciplines it."""

import math
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.clock.base import MOST_OFFSET, ClockFault


@dataclass
class Drift(ClockFault):
    """`rate`: seconds gained in each second, below zero for a clock that is slow; `most`: wrong by so many at most."""

    rate: Annotated[float, Field(ge=-10, le=10)]
    most: Annotated[float, Field(gt=0, le=MOST_OFFSET)]

    def offset(self, elapsed: float) -> float:
        """In proportion to the time that has passed."""
        return math.copysign(min(abs(self.rate) * elapsed, self.most), self.rate)

    @property
    def settled(self) -> float:
        """When it is wrong by the most."""
        return self.most / abs(self.rate) if self.rate else 0.0
