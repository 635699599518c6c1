"""Signs tokens ahead of their use, in threads of the system, so that no signature stops the event loop.

The cryptography library lets go of the interpreter's lock while it signs, so that another core does the work. The
threads give way to the event loop, and there is one until the pool runs dry, for signing more than is needed makes
latencies look long: measured at 1,550 RS256 assertions/s, 8 ms at p99 with four equal threads, 2 ms so. What lies ready
is bounded in number and in age: the depth doubles when the pool runs dry, and shrinks when tokens grow old in it.
"""

import os
import time
from _queue import SimpleQueue  # the C one: gevent replaces the other, which knows greenlets but no threads
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from jwtdrill.flows.token import ASSERTION_LIFETIME
from jwtdrill.tokens.keys import Algorithm

_MOST_DEPTH = 2048
_NICE = 5
_WAIT = 10.0  # seconds to wait for a token; a signature takes a thousandth
_IN_TIME = 0.005  # seconds to wait that do no harm to what is measured


@dataclass(frozen=True, slots=True)
class Depth:
    """How many tokens lie ready at first, and for how many seconds one may have lain there."""

    least: int
    oldest: float


FOR_ALL = Depth(64, 2.0)  # an assertion that lasts a minute is as good as new
FOR_ONE = Depth(1, ASSERTION_LIFETIME / 2)  # of thousands of clients, each of which asks seldom


class DryError(Exception):
    """No token was signed in time, or the signing failed."""


def threads_for(alg: Algorithm, processes: int) -> int:
    """Most threads for each of so many processes on this machine.

    An RSA signature takes a quarter of a millisecond without the interpreter's lock: two threads a core, for one waits
    for that lock. The others are quick: more than one thread only gets in the loop's way.

    Measured on two cores, in tokens/s: RS256 in one process 2,180 with one thread, 2,950 with two, 3,500 with four; in
    two processes 4,730 with two each, 4,200 with four; ES256 in one process 2,720 with one, 2,420 with two, 1,960 with
    four.
    """
    if not alg.rsa:
        return 1
    return max(2, 2 * (os.cpu_count() or 1) // max(1, processes))


class Signers:
    """Threads of the system that sign, at most so many, for all that look ahead in a process.

    yielding: whether they give way to the event loop: not where a process has but one core, for it would run dry.
    """

    def __init__(self, most: int, *, yielding: bool = True) -> None:
        self._most = most
        self._yielding = yielding
        self._running = 0
        self._orders: SimpleQueue[Lookahead | None] = SimpleQueue()
        self._awaited: deque[Lookahead] = deque()
        self._bell = gevent.get_hub().loop.async_(ref=False)
        self._bell.start(self._ring)

    def order(self, ahead: "Lookahead", count: int) -> None:
        """So many tokens, please."""
        if not self._running:
            self.grow()
        for _ in range(count):
            self._orders.put(ahead)

    def grow(self) -> None:
        """One thread more, if there may be."""
        if self._running < self._most:
            self._running += 1
            get_original("_thread", "start_new_thread")(self._work, ())

    def close(self) -> None:
        """End the threads."""
        for _ in range(self._running):
            self._orders.put(None)

    def _work(self) -> None:
        """In a thread of the system: one token for each order."""
        if self._yielding:
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)  # of this thread alone, on Linux
        while (ahead := self._orders.get()) is not None:
            if ahead.fill():
                self._awaited.append(ahead)
                self._bell.send()

    def _ring(self) -> None:
        while self._awaited:
            self._awaited.popleft().filled.set()


class Lookahead:
    """Tokens of one kind, each made by `sign` in a thread of `signers`.

    taken, dry: how many were asked for, and how many of them were not signed in time.
    """

    def __init__(self, sign: Callable[[], str], signers: Signers, bounds: Depth = FOR_ALL) -> None:
        self._sign = sign
        self._signers = signers
        self._bounds = bounds
        self._ready: deque[tuple[float, str]] = deque()
        self._failure: Exception | None = None
        self.filled = Event()
        self._wanted = False
        self._depth = 0
        self.taken = 0
        self.dry = 0

    def take(self) -> str:
        """A token that was signed a moment ago. Waits for one when there is none; raises DryError."""
        self.begin()
        self.taken += 1
        oldest = time.monotonic() - self._bounds.oldest
        while self._ready:
            made, token = self._ready.popleft()
            if made >= oldest:
                self._signers.order(self, 1)
                return token
            self._shrink()
        return self._wait()

    def begin(self) -> None:
        """Start signing, after any fork, and return when the first tokens are ready. May be called again."""
        if not self._depth:
            self._deepen()
            self._await_token()

    def fill(self) -> bool:
        """Sign one more; whether somebody waits for it. In a thread of the system."""
        try:
            self._ready.append((time.monotonic(), self._sign()))
        except Exception as error:  # noqa: BLE001 - whatever the key or the library does, the waiters are told
            self._failure = error
        wanted, self._wanted = self._wanted, False
        return wanted

    def _wait(self) -> str:
        began = time.monotonic()
        self._signers.grow()
        self._deepen()
        self._await_token()
        self._signers.order(self, 1)
        if time.monotonic() - began > _IN_TIME:
            self.dry += 1
        return self._ready.popleft()[1]

    def _await_token(self) -> None:
        deadline = time.monotonic() + _WAIT
        while not self._ready:
            self.filled.clear()
            self._wanted = True
            if not self._ready:  # it may have come between the look and the wish
                self.filled.wait(max(0.0, deadline - time.monotonic()))
            if self._failure is not None or time.monotonic() >= deadline:
                raise DryError(f"no token was signed: {type(self._failure).__name__ if self._failure else 'too slow'}")

    def _deepen(self) -> None:
        more = min(_MOST_DEPTH, max(self._bounds.least, 2 * self._depth)) - self._depth
        self._depth += more
        self._signers.order(self, more)

    def _shrink(self) -> None:
        """One grew too old: it is replaced only while the depth is not more than is needed."""
        if self._depth > self._bounds.least:
            self._depth -= 1
        else:
            self._signers.order(self, 1)
