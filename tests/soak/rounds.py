"""What one round of the soak is, drawn from a seed: which controller, which faults, who is hit by what, and when.

Everything is dealt from decks, so that a run of sixty has each fault, each signal and each part of a drill's life.
"""

import itertools
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from tests.soak.parameters import Params, draw, kinds

from jwtdrill.faults.registry import make_fault

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)
DRILLS = ("jwks_outage", "clock_skew", "rotation_without_overlap")
_EVERY = 11  # rounds, of which one has a drill, and one hits the agent
_STRATA = 6  # of a drill's life


class Way(StrEnum):
    """The controller. FAULTS begins, holds and ends faults as a drill does, without load, canary and judge."""

    FAULTS = "faults"
    CHAOS_RUN = "chaos run"
    GAMEDAY = "gameday"


class Victim(StrEnum):
    """Who gets the signal."""

    CONTROLLER = "controller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Round:
    """moment: of the signal, as a share of the controller's life; hold: seconds for which it would hold its faults.

    drill: the experiment, where one is run.
    """

    number: int
    way: Way
    victim: Victim
    signal: signal.Signals
    moment: float
    faults: tuple[tuple[str, Params], ...] = ()
    hold: float = 0.0
    drill: str = ""

    def __str__(self) -> str:
        what = self.drill or ", ".join(f"{name} {params}" for name, params in self.faults)
        who = "" if self.victim is Victim.CONTROLLER else f" to the {self.victim}"
        return f"{self.signal.name}{who} at {self.moment:.0%} of {self.way}: {what}"


@dataclass
class Deck(Generic[T]):
    """Cards in random order; none comes again before all have come."""

    rng: random.Random
    cards: Sequence[T]
    _left: list[T] = field(default_factory=list)

    def deal(self) -> T:
        """The next one."""
        if not self._left:
            self._left = self.rng.sample(self.cards, len(self.cards))
        return self._left.pop()


def rounds(seed: int) -> Iterator[Round]:
    """Rounds without end, always the same of one seed."""
    rng = random.Random(seed)
    faults, drills = Deck(rng, kinds()), Deck(rng, list(itertools.product((Way.CHAOS_RUN, Way.GAMEDAY), DRILLS)))
    signals, drill_signals = Deck(rng, SIGNALS), Deck(rng, SIGNALS)
    agent_signals, strata = Deck(rng, (signal.SIGKILL, signal.SIGSTOP)), Deck(rng, range(_STRATA))
    for number in itertools.count(1):
        if number % _EVERY == _EVERY // 2:
            way, name = drills.deal()
            moment = (strata.deal() + rng.random()) / _STRATA
            yield Round(number, way, Victim.CONTROLLER, drill_signals.deal(), moment, drill=name)
            continue
        together = _together(rng, faults)
        hold = round(rng.uniform(0.1, 3.0), 2)
        if number % _EVERY == 0:
            # past its start, when it has something in force that the agent must not lose
            moment, hit = rng.uniform(0.5, 0.95), agent_signals.deal()
            yield Round(number, Way.FAULTS, Victim.AGENT, hit, moment, together, hold)
        else:
            yield Round(number, Way.FAULTS, Victim.CONTROLLER, signals.deal(), rng.random(), together, hold)


def _together(rng: random.Random, deck: Deck[str]) -> tuple[tuple[str, Params], ...]:
    """One to three faults, of each place one at most."""
    found: dict[Any, tuple[str, Params]] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        name, params = draw(rng, deck.deal())
        found.setdefault(make_fault(name, params).place or (name, len(found)), (name, params))
    return tuple(found.values())
