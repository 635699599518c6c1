"""The contract's metrics of a verifier, with labels that no token can grow."""

import math
import threading
import time
from collections.abc import Callable

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import UNKNOWN, Instruments
from jwtdrill.catalog.reasons import Reason

_SLOTS = 6


class ClockOffset:
    """Least now - iat within a sliding window, kept in slots so that a request costs one comparison."""

    def __init__(self, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._width = window / _SLOTS
        self._clock = clock
        self._least = [math.inf] * (_SLOTS + 1)
        self._epoch = [-1] * (_SLOTS + 1)
        self._lock = threading.Lock()

    def seen(self, offset: float) -> None:
        """Take note of one token."""
        epoch = int(self._clock() / self._width)
        slot = epoch % len(self._least)
        if self._epoch[slot] == epoch and self._least[slot] <= offset:
            return
        with self._lock:
            if self._epoch[slot] != epoch:
                self._epoch[slot], self._least[slot] = epoch, math.inf
            self._least[slot] = min(self._least[slot], offset)

    def value(self) -> float:
        """The least offset of the window in seconds, NaN when no token was seen."""
        newest = int(self._clock() / self._width)
        live = [
            least for least, epoch in zip(self._least, self._epoch, strict=True) if newest - _SLOTS <= epoch <= newest
        ]
        least = min(live, default=math.inf)
        return least if math.isfinite(least) else math.nan


class VerificationMetrics:
    """Counts what one verifier does."""

    def __init__(
        self,
        instruments: Instruments,
        issuer: str,
        audience: str,
        algorithms: tuple[str, ...],
        offset_window: float,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._algorithms = frozenset(algorithms)
        self._total = instruments.counter(metrics.VERIFICATION)
        self._duration = instruments.histogram(metrics.VERIFICATION_DURATION)
        self._lifetime = instruments.histogram(metrics.TOKEN_LIFETIME).labels(issuer)
        self._offset = ClockOffset(offset_window)
        instruments.gauge(metrics.TOKEN_CLOCK_OFFSET).labels(issuer).set_function(self._offset.value)
        self._begun: set[tuple[str, str]] = set()
        for alg in (UNKNOWN, *algorithms):
            self._begin(UNKNOWN, alg)

    def accepted(self, kid: str | None, alg: str | None, seconds: float) -> None:
        """One good token."""
        self._count(kid, alg, "success", "", seconds)

    def refused(self, kid: str | None, alg: str | None, reason: Reason, seconds: float) -> None:
        """One token refused."""
        self._count(kid, alg, "failure", reason, seconds)

    def seen(self, *, issued: float, expires: float, now: float) -> None:
        """Times of one token whose signature is good."""
        self._lifetime.observe(expires - issued)
        self._offset.seen(now - issued)

    def _count(self, kid: str | None, alg: str | None, result: str, reason: str, seconds: float) -> None:
        kid, alg = kid or UNKNOWN, alg if alg in self._algorithms else UNKNOWN
        if (kid, alg) not in self._begun:
            self._begin(kid, alg)
        self._total.labels(self._issuer, self._audience, kid, alg, result, reason).inc()
        self._duration.labels(self._issuer, alg, "false").observe(seconds)

    def _begin(self, kid: str, alg: str) -> None:
        """Begin the series of a key at zero: a rate does not see the value that a series is born with."""
        self._begun.add((kid, alg))
        self._total.labels(self._issuer, self._audience, kid, alg, "success", "")
        for reason in Reason:
            self._total.labels(self._issuer, self._audience, kid, alg, "failure", reason)
