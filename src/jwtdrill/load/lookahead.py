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

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from jwtdrill.tokens.keys import Algorithm

_LEAST_DEPTH = 64
_MOST_DEPTH = 2048
_OLDEST = 2.0  # seconds that a token may have lain ready: an assertion that lasts a minute is as good as new
_NICE = 5
_WAIT = 10.0  # seconds to wait for a token; a signature takes a thousandth
_IN_TIME = 0.005  # seconds to wait that do no harm to what is measured


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


class Lookahead:
    """Tokens of one kind, each made by `sign` in one of at most so many `threads`.

    yielding: whether they give way to the event loop: not where a process has but one core, for it would run dry.

    taken, dry: how many were asked for, and how many of them were not signed in time.
    """

    def __init__(self, sign: Callable[[], str], threads: int, *, yielding: bool = True) -> None:
        self._sign = sign
        self._yielding = yielding
        self._most_threads = threads
        self._threads = 0
        self._running = False
        self._orders: SimpleQueue[bool] = SimpleQueue()
        self._ready: deque[tuple[float, str]] = deque()
        self._failure: Exception | None = None
        self._filled = Event()
        self._wanted = False
        self._depth = 0
        self.taken = 0
        self.dry = 0

    def take(self) -> str:
        """A token that was signed a moment ago. Waits for one when there is none; raises DryError."""
        self.begin()
        self.taken += 1
        oldest = time.monotonic() - _OLDEST
        while self._ready:
            made, token = self._ready.popleft()
            if made >= oldest:
                self._order(1)
                return token
            self._shrink()
        return self._wait()

    def begin(self) -> None:
        """Start signing, after any fork, and return when the first tokens are ready. May be called again."""
        if self._running:
            return
        self._running = True
        self._bell = gevent.get_hub().loop.async_(ref=False)
        self._bell.start(self._filled.set)
        self._deepen()
        self._await_token()

    def close(self) -> None:
        """End the threads."""
        for _ in range(self._threads):
            self._orders.put(False)

    def _wait(self) -> str:
        began = time.monotonic()
        self._deepen()
        self._await_token()
        self._order(1)
        if time.monotonic() - began > _IN_TIME:
            self.dry += 1
        return self._ready.popleft()[1]

    def _await_token(self) -> None:
        deadline = time.monotonic() + _WAIT
        while not self._ready:
            self._filled.clear()
            self._wanted = True
            if not self._ready:  # it may have come between the look and the wish
                self._filled.wait(max(0.0, deadline - time.monotonic()))
            if self._failure is not None or time.monotonic() >= deadline:
                raise DryError(f"no token was signed: {type(self._failure).__name__ if self._failure else 'too slow'}")

    def _deepen(self) -> None:
        if self._threads < self._most_threads:
            self._threads += 1
            get_original("_thread", "start_new_thread")(self._work, ())
        more = min(_MOST_DEPTH, max(_LEAST_DEPTH, 2 * self._depth)) - self._depth
        self._depth += more
        self._order(more)

    def _shrink(self) -> None:
        """One grew too old: it is replaced only while the depth is not more than is needed."""
        if self._depth > _LEAST_DEPTH:
            self._depth -= 1
        else:
            self._order(1)

    def _order(self, count: int) -> None:
        for _ in range(count):
            self._orders.put(True)

    def _work(self) -> None:
        """In a thread of the system: one token for each order."""
        if self._yielding:
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)  # of this thread alone, on Linux
        while self._orders.get():
            try:
                self._ready.append((time.monotonic(), self._sign()))
            except Exception as error:  # noqa: BLE001 - whatever the key or the library does, the waiters are told
                self._failure = error
            if self._wanted:
                self._wanted = False
                self._bell.send()
