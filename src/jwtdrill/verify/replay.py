"""Remembers which tokens were used, where each is good once only (RFC 7519 section 4.1.7)."""

import hashlib
import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

_MOST_FORGOTTEN = 100  # expired uses cleared away at once, so that no request pays for all


class ReplayStore(Protocol):
    """Where uses are remembered. Processes and nodes of one resource must share one, or each lets a token in once."""

    def first_use(self, issuer: str, jti: str, seconds: float) -> bool | Future[bool]:
        """Whether that issuer's token is used for the first time; remembered for so many seconds at least.

        It must find out and remember in one step (in Redis: SET with NX and EX). A future is waited for, a second at
        most. Whatever is raised: it cannot be told, and the token is refused.
        """


class ReplayMemoryFullError(Exception):
    """There are as many tokens in use as can be remembered."""


class ReplayMemory:
    """The uses in this process, `most` at a time, each until its token has expired. From any thread.

    A full memory tells nothing (ReplayMemoryFullError) rather than forget: a use that is forgotten before its token
    expires lets a thief in, and whoever fills the memory needs as many good tokens of the issuer. About 200 bytes each.
    """

    def __init__(self, most: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most}")
        self._most = most
        self._clock = clock
        self._used: set[bytes] = set()
        self._order: list[tuple[float, bytes]] = []
        self._lock = threading.Lock()

    def first_use(self, issuer: str, jti: str, seconds: float) -> bool:
        """Whether it is the first. Raises ReplayMemoryFullError."""
        name = _digest(issuer, jti)
        now = self._clock()
        with self._lock:
            self._forget(now)
            if name in self._used:
                return False
            if len(self._used) >= self._most:
                raise ReplayMemoryFullError
            self._used.add(name)
            heapq.heappush(self._order, (now + seconds, name))
            return True

    def _forget(self, now: float) -> None:
        for _ in range(_MOST_FORGOTTEN):
            if not self._order or self._order[0][0] > now:
                return
            self._used.discard(heapq.heappop(self._order)[1])

    def __len__(self) -> int:
        return len(self._used)


def _digest(issuer: str, jti: str) -> bytes:
    """Of both, told apart: a jti may be as long as a token."""
    return hashlib.sha256(f"{len(issuer)}:{issuer}{jti}".encode("utf-8", "surrogatepass")).digest()
