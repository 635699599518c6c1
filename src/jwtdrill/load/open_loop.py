"""The open model: requests start when they are due, whatever became of those before them."""

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gevent

from jwtdrill.load.arrivals import Rate, Share, arrivals
from jwtdrill.load.fitness import Fitness, Missed

_LATEST = 1.0  # seconds after which a request that was due is not started any more, and counts as missed


class Arriving(Protocol):
    """A client among those that requests are dealt out to."""

    def arrive(self) -> None:
        """Do one task."""


class Arrival(gevent.Greenlet):  # type: ignore[misc]
    """One request that was due at `due` (seconds of time.perf_counter); None once its latency is taken."""

    due: float | None = None


class OpenLoop:
    """Starts the arrivals of one process. `most`: requests under way at once.

    clients: those that are ready; it changes while the loop runs. dice: for Poisson arrivals.
    """

    def __init__(
        self,
        rate: Rate,
        clients: Sequence[Arriving],
        fitness: Fitness,
        *,
        most: int,
        dice: random.Random | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._rate = rate
        self._clients = clients
        self._fitness = fitness
        self._most = most
        self._dice = dice
        self._clock = clock
        self._driver: gevent.Greenlet | None = None
        self.begun = False
        self.under_way = 0

    def run(self, share: Share, elapsed: float) -> None:
        """Go on from so many seconds after the beginning with that share, in place of any that runs."""
        self.stop()
        self.begun = True
        self._driver = gevent.spawn(self._drive, share, self._clock() - elapsed, elapsed)

    def stop(self) -> None:
        """Start nothing more; what is under way goes on."""
        if self._driver is not None:
            self._driver.kill()
            self._driver = None

    def drain(self, seconds: float) -> int:
        """Wait until nothing is under way, for so long at most; returns how many are still."""
        deadline = self._clock() + seconds
        while self.under_way and self._clock() < deadline:
            gevent.sleep(0.01)
        return self.under_way

    def _drive(self, share: Share, begin: float, after: float) -> None:
        turn = 0
        for due in arrivals(self._rate, share, after, self._dice):
            if due == math.inf:
                return
            wait = begin + due - self._clock()
            if wait > 0:
                gevent.sleep(wait)
            self._fitness.due += 1
            if wait < -_LATEST:
                self._fitness.miss(Missed.LATE)
            elif self.under_way >= self._most:
                self._fitness.miss(Missed.CONNECTIONS)
            elif not self._clients:
                self._fitness.miss(Missed.NO_TOKEN)
            else:
                turn += 1
                arrival = Arrival(self._arrive, self._clients[turn % len(self._clients)])
                arrival.due = begin + due
                self.under_way += 1
                arrival.start()
            if turn % 16 == 0 and wait <= 0:
                gevent.sleep(0)  # behind time: those that were started must get their turn too

    def _arrive(self, client: Arriving) -> None:
        try:
            client.arrive()
        finally:
            self.under_way -= 1


def take_due() -> float | None:
    """When the request that this greenlet is about to send was due; None but for the first of an arrival."""
    current: Any = gevent.getcurrent()
    due: float | None = getattr(current, "due", None)
    if due is not None:
        current.due = None
    return due
