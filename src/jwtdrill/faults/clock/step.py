"""The clock of one process jumps while it runs, as when somebody sets it by hand."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.clock.base import ClockFault, Delay, Offset


@dataclass
class Step(ClockFault):
    """It jumps by `seconds`, below zero for backwards, `after` that many seconds in which it is right."""

    seconds: Offset
    after: Delay = 5.0

    def offset(self, elapsed: float) -> float:
        """Nothing, then all of it."""
        return self.seconds if elapsed >= self.after else 0.0

    @property
    def settled(self) -> float:
        """When it has jumped."""
        return self.after
