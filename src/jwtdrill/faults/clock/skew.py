"""The clock of one process is wrong by a fixed time."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.clock.base import ClockFault, Offset


@dataclass
class Skew(ClockFault):
    """`seconds`: below zero for a clock that is behind."""

    seconds: Offset

    def offset(self, elapsed: float) -> float:  # noqa: ARG002 - it is always the same
        """That, from the beginning."""
        return self.seconds
