"""Keeps known-good tokens of different ages at hand: the newest, and the oldest that must still be accepted.

The two see different failures: the newest a key that has not spread yet, the oldest a key that is gone too early.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_MARGIN = 5.0  # seconds before its expiry from which a token counts as used up: clocks and network take time
_RENEWALS = 3  # in each token lifetime


@dataclass(frozen=True, slots=True)
class GoodToken:
    """A genuine token. Times in monotonic seconds: our own wall clock may be wrong."""

    token: str = field(repr=False)
    granted: float
    lifetime: float

    def good(self, now: float) -> bool:
        """Whether it must still be accepted."""
        return now < self.granted + max(self.lifetime - _MARGIN, self.lifetime / 2)


class GoodTokens:
    """The tokens of one client."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: deque[GoodToken] = deque()

    def add(self, token: str, lifetime: float) -> None:
        """A token that was granted just now, good for so many seconds."""
        self._tokens.append(GoodToken(token, self._clock(), lifetime))

    def renewal_due(self) -> bool:
        """Whether another should be asked for."""
        self._drop_used_up()
        if not self._tokens:
            return True
        newest = self._tokens[-1]
        return self._clock() >= newest.granted + newest.lifetime / _RENEWALS

    def newest(self) -> str | None:
        """The one granted last, None when all are used up."""
        self._drop_used_up()
        return self._tokens[-1].token if self._tokens else None

    def oldest(self) -> str | None:
        """The one granted first that must still be accepted."""
        self._drop_used_up()
        return self._tokens[0].token if self._tokens else None

    def _drop_used_up(self) -> None:
        while self._tokens and not self._tokens[0].good(self._clock()):
            self._tokens.popleft()
