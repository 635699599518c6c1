"""The highest rate at which the objectives hold: a search over trials, each a load run of its own.

The search knows nothing of how a trial is made. It doubles the rate until the objectives do not hold, bisects, and then
tries the best rate again, for near the limit one trial is luck. What it says is an interval: up to its lower end every
trial held, from its upper end on every trial failed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.load.verdict import Outcome

_LEAST_SECONDS = 8.0  # of a trial
_BEYOND = 30  # answers beyond the percentile that an objective asks for, so that it is known and not guessed
_CONFIRMATIONS = 2
_MOST_TRIALS = 40
_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One rate tried. problems: why the harness was not fit. cpu: seconds that the target used, where it is known."""

    rate: float
    seconds: float
    outcome: Outcome
    answers: int
    failed: Sequence[str] = ()
    problems: Sequence[str] = ()
    cpu: float | None = None

    @property
    def per_core(self) -> float | None:
        """Answers for each second that one of the target's cores worked."""
        return self.answers / self.cpu if self.cpu else None


class Limit(StrEnum):
    """What kept the search from going on."""

    TARGET = "the target"
    HARNESS = "the harness"
    FILE = "limits of the target file"


@dataclass
class Capacity:
    """What the search found. low, high: the ends of the interval in requests/s; None where no trial says."""

    trials: list[Trial] = field(default_factory=list)
    limit: Limit = Limit.TARGET
    why: str = ""

    @property
    def low(self) -> float | None:
        """The highest rate up to which every trial held."""
        failed = min((t.rate for t in self.trials if t.outcome is Outcome.VIOLATED), default=math.inf)
        return max((t.rate for t in self.trials if t.outcome is Outcome.HELD and t.rate < failed), default=None)

    @property
    def high(self) -> float | None:
        """The lowest rate from which on every trial failed."""
        held = max((t.rate for t in self.trials if t.outcome is Outcome.HELD), default=0.0)
        return min((t.rate for t in self.trials if t.outcome is Outcome.VIOLATED and t.rate > held), default=None)

    @property
    def per_core(self) -> float | None:
        """Answers per second of a core at the highest rate that held, where the target's CPU is known."""
        return next((t.per_core for t in self.trials if t.rate == self.low and t.per_core is not None), None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "low": self.low,
            "high": self.high,
            "limit": self.limit,
            "why": self.why,
            "answers_per_core_second": self.per_core,
            "trials": [
                {
                    "rate": t.rate,
                    "seconds": t.seconds,
                    "outcome": t.outcome,
                    "answers": t.answers,
                    "failed": list(t.failed),
                    "problems": list(t.problems),
                    "answers_per_core_second": t.per_core,
                }
                for t in self.trials
            ],
        }


Measure = Callable[[float], Trial | None]


def search(measure: Measure, *, first: float, most: float, precision: float) -> Capacity:
    """Find the capacity. `measure` tries a rate, and returns None where the target file allows no more trials.

    first: the rate to begin with; most: the highest that may be tried; precision: relative width at which to end.
    """
    found = Capacity()
    low, high = 0.0, math.inf
    rate = min(first, most)
    while len(found.trials) < _MOST_TRIALS:
        trial = measure(rate)
        if trial is None:
            found.limit = Limit.FILE
            return found
        found.trials.append(trial)
        if trial.outcome is Outcome.INVALID:
            found.limit, found.why = Limit.HARNESS, "; ".join(trial.problems)
            return found
        if trial.outcome is Outcome.HELD:
            low = max(low, rate)
        else:
            high = min(high, rate)
            if low >= high:  # it had held here before: luck
                low = max((t.rate for t in found.trials if t.outcome is Outcome.HELD and t.rate < high), default=0.0)
        if low >= most:
            found.limit, found.why = Limit.FILE, f"rate = {most:g} under [limits]"
            return found
        following = _next(found, low, high, most, precision)
        if following is None:
            return found
        rate = following
    return found


def _next(found: Capacity, low: float, high: float, most: float, precision: float) -> float | None:
    """The rate to try next; None when the answer is known well enough."""
    if math.isinf(high):
        return min(most, low * _FACTOR)
    if not low:
        return high / _FACTOR if high > 1 else None
    if high / low > 1 + precision:
        return round(math.sqrt(low * high), 1)
    held = sum(1 for trial in found.trials if trial.rate == low and trial.outcome is Outcome.HELD)
    return low if held < _CONFIRMATIONS else None


def trial_seconds(rate: float, objectives: Sequence[Objective]) -> float:
    """How long a trial at that rate lasts, so that every objective is judged by enough answers."""
    rarest = min((o.budget for o in objectives if o.indicator is not Indicator.FALSE_REJECTS), default=0.05)
    latency = min((o.budget for o in objectives if o.indicator.is_latency), default=0.05)
    # A share of bad events of p shows with probability 0.95 within 3/p answers.
    answers = max(3 / rarest, _BEYOND / latency)
    return max(_LEAST_SECONDS, answers / rate)
