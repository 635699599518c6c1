"""The contract's metrics of a verifier, with labels that no token can grow."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from prometheus_client import Counter

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import MOST_KIDS, UNKNOWN, Instruments
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
    """Counts what one verifier does.

    Of its issuer's keys the MOST_KIDS that were used last have series of their own, so that neither years of rotations
    nor a huge key set grow the label space.
    """

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
        duration = instruments.histogram(metrics.VERIFICATION_DURATION)
        self._lifetime = instruments.histogram(metrics.TOKEN_LIFETIME).labels(issuer)
        self._offset = ClockOffset(offset_window)
        instruments.gauge(metrics.TOKEN_CLOCK_OFFSET).labels(issuer).set_function(self._offset.value)
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._kids: OrderedDict[str, set[str]] = OrderedDict()  # to their algorithms, those used last at the end
        self._last_kid = UNKNOWN
        self._lock = threading.Lock()
        self._durations = {
            (alg, cached, result): duration.labels(issuer, alg, "true" if cached else "false", result)
            for alg in (UNKNOWN, *algorithms)
            for cached, result in ((False, "success"), (True, "success"), (False, "failure"))
        }
        for alg in (UNKNOWN, *algorithms):
            self._begin(UNKNOWN, alg)

    def accepted(self, kid: str | None, alg: str, seconds: float, *, remembered: bool = False) -> None:
        """One good token. kid: of the key that fitted, which is therefore a published one."""
        self._count(kid, alg, "", seconds, remembered)

    def refused(self, kid: str | None, alg: str | None, reason: Reason, seconds: float) -> None:
        """One token refused. kid: that of a published key, or None."""
        self._count(kid, alg, reason, seconds, False)

    def seen(self, *, issued: float, expires: float, now: float) -> None:
        """Times of one token whose signature is good."""
        self._lifetime.observe(expires - issued)
        self._offset.seen(now - issued)

    def _count(self, kid: str | None, alg: str | None, reason: str, seconds: float, remembered: bool) -> None:
        kid, alg = kid or UNKNOWN, alg if alg is not None and alg in self._algorithms else UNKNOWN
        counter = self._counters.get((kid, alg, reason))
        if counter is None or kid != self._last_kid:
            counter = self._used(kid, alg, reason)
        counter.inc()
        self._durations[alg, remembered, "failure" if reason else "success"].observe(seconds)

    def _used(self, kid: str, alg: str, reason: str) -> Counter:
        """The counter of a key that was not the last one used; those of the key whose use is longest ago may go."""
        with self._lock:
            if (kid, alg, reason) not in self._counters:
                self._begin(kid, alg)
            if kid != UNKNOWN:
                self._kids.setdefault(kid, set()).add(alg)
                self._kids.move_to_end(kid)
            if len(self._kids) > MOST_KIDS:
                self._forget(*self._kids.popitem(last=False))
            self._last_kid = kid
            return self._counters[kid, alg, reason]

    def _forget(self, kid: str, algorithms: set[str]) -> None:
        for alg in algorithms:
            for reason in ("", *Reason):
                del self._counters[kid, alg, reason]
                result = "failure" if reason else "success"
                self._total.remove(self._issuer, self._audience, kid, alg, result, reason)

    def _begin(self, kid: str, alg: str) -> None:
        """Begin the series of a key at zero: a rate does not see the value that a series is born with."""
        for reason in ("", *Reason):
            result = "failure" if reason else "success"
            self._counters[kid, alg, reason] = self._total.labels(
                self._issuer, self._audience, kid, alg, result, reason
            )
