"""When requests of the open model arrive: pure functions of elapsed time, without a clock.

A rate is a piecewise linear function of time. Its integral, the number of arrivals due by a moment, has a closed
inverse, so that the time of any arrival is computed rather than waited for. Arrivals are constant (evenly spread) or
Poisson: a unit Poisson process in the integral is a Poisson process of that rate in time.
"""

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from jwtdrill.errors import BadInputError

_NUMBER = r"(\d+(?:\.\d+)?)"
_SECONDS = rf"{_NUMBER}(s|m|h)?"
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORMS = "200, 50-500/60s (ramp), 100,200,400/30s (steps) or 100+900/5s@60s (burst)"


class Spacing(StrEnum):
    """How arrivals lie in time. Clients that know nothing of each other make a Poisson process."""

    POISSON = "poisson"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in seconds over which the rate goes evenly from `first` to `last` arrivals/s."""

    duration: float
    first: float
    last: float

    @property
    def count(self) -> float:
        """Arrivals in all of it."""
        return self.duration * (self.first + self.last) / 2

    def due(self, elapsed: float) -> float:
        """Arrivals in its first seconds."""
        return elapsed * (self.first + elapsed * (self.last - self.first) / (2 * self.duration))

    def when(self, count: float) -> float:
        """The inverse of `due`, in the form that loses no digits where the slope is small."""
        slope = (self.last - self.first) / self.duration
        speed = math.sqrt(max(0.0, self.first**2 + 2 * slope * count))
        return min(self.duration, 2 * count / (self.first + speed)) if count else 0.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Arrivals/s over time: its segments one after the other, then over again, or held at the last rate for ever."""

    segments: tuple[Segment, ...]
    repeats: bool = False

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """`200`, `50-500/60s`, `100,200,400/30s` or `100+900/5s@60s`. Raises BadInputError."""
        rate = _parse(text.replace(" ", ""))
        if rate is None:
            raise BadInputError(f"--rate {text}: is no rate: write requests/s as {_FORMS}")
        if rate.peak <= 0:
            raise BadInputError(f"--rate {text}: must be more than 0")
        return rate

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(max(segment.first, segment.last) for segment in self.segments)

    def at(self, elapsed: float) -> float:
        """The rate at that moment."""
        for segment in self.segments:
            if elapsed < segment.duration:
                return segment.first + elapsed * (segment.last - segment.first) / segment.duration
            elapsed -= segment.duration
        return self.at(elapsed % self._period) if self.repeats else self.segments[-1].last

    def due(self, elapsed: float) -> float:
        """How many have arrived by that time, as a real number."""
        total = 0.0
        if self.repeats:
            periods, elapsed = divmod(elapsed, self._period)
            total = periods * self._count
        for segment in self.segments:
            if elapsed <= segment.duration:
                return total + segment.due(elapsed)
            elapsed -= segment.duration
            total += segment.count
        return total + elapsed * self.segments[-1].last

    def when(self, count: float) -> float:
        """The time by which so many have arrived; infinite where so many never do."""
        begin = 0.0
        if self.repeats:
            periods, count = divmod(count, self._count)
            begin = periods * self._period
        for segment in self.segments:
            if count < segment.count:
                return begin + segment.when(count)
            begin += segment.duration
            count -= segment.count
        last = self.segments[-1].last
        return begin + count / last if last else (math.inf if count else begin)

    @property
    def _period(self) -> float:
        return sum(segment.duration for segment in self.segments)

    @property
    def _count(self) -> float:
        return sum(segment.count for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one process: the `index`-th of so many that together make the whole rate."""

    index: int = 0
    of: int = 1


def arrivals(rate: Rate, share: Share, after: float, dice: random.Random | None) -> Iterator[float]:
    """Times in seconds of the arrivals of that share later than `after`, without end.

    dice: for Poisson arrivals; without, they are evenly spread, and the shares of all processes interlock exactly.
    Processes whose number changes go on from the moment of the change with their new shares.
    """
    due = rate.due(after)
    if dice is None:
        first = math.ceil(due)
        for number in itertools.count(first + (share.index - first) % share.of, share.of):
            yield rate.when(number)
    else:
        while True:
            due += share.of * dice.expovariate(1.0)
            yield rate.when(due)


def _parse(text: str) -> Rate | None:
    if found := re.fullmatch(_NUMBER, text):
        return _constant(float(found[1]))
    if found := re.fullmatch(rf"{_NUMBER}-{_NUMBER}/{_SECONDS}", text):
        length = _seconds(found[3], found[4])
        return Rate((Segment(length, float(found[1]), float(found[2])),)) if length else None
    if found := re.fullmatch(rf"({_NUMBER}(?:,{_NUMBER})+)/{_SECONDS}", text):
        length = _seconds(*found.groups()[-2:])
        steps = [float(step) for step in found[1].split(",")]
        return Rate(tuple(Segment(length, step, step) for step in steps)) if length else None
    if found := re.fullmatch(rf"{_NUMBER}\+{_NUMBER}/{_SECONDS}@{_SECONDS}", text):
        base, burst = float(found[1]), float(found[1]) + float(found[2])
        length, every = _seconds(found[3], found[4]), _seconds(found[5], found[6])
        if 0 < length < every:
            return Rate((Segment(every - length, base, base), Segment(length, burst, burst)), repeats=True)
    return None


def _constant(rate: float) -> Rate:
    return Rate((Segment(1.0, rate, rate),))


def _seconds(number: str, unit: str | None) -> float:
    return float(number) * _UNITS[unit]
