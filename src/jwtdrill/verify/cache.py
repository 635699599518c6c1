"""A cache of one issuer's keys that keeps verifying through outages, floods and rotations.

A background thread owns all fetches. Readers look at an immutable snapshot without a lock, so a known key never
waits. Only a token whose key is not on hand waits, and only for a fetch that the allowance permits.
"""

import logging
import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import MOST_KIDS, UNKNOWN, Instruments
from jwtdrill.verify.fetch import USER_AGENT, Fetched, FetchError, FetchLimits, fetch_keyset
from jwtdrill.verify.keyset import TrustedKey, select


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long keys are kept and how often they are asked for. All times in seconds.

    default_lifetime: where the endpoint says nothing; min_lifetime, max_lifetime: bounds on what it says.
    refresh_at: share of the lifetime after which a refresh begins. stale_limit: age since the last good fetch at
    which the keys are dropped. retry_first, retry_most: back-off between failed attempts, counted from the start
    of the attempt. allowance: fetches that unknown kids and bad signatures may cause at once; one more becomes
    available every allowance_refill seconds. So N unknown kids in T seconds cause at most
    allowance + T / allowance_refill fetches beside the scheduled ones.
    """

    default_lifetime: float = 300.0
    min_lifetime: float = 5.0
    max_lifetime: float = 3600.0
    refresh_at: float = 0.75
    stale_limit: float = 14400.0
    retry_first: float = 1.0
    retry_most: float = 30.0
    allowance: int = 4
    allowance_refill: float = 10.0
    limits: FetchLimits = field(default_factory=FetchLimits)

    def lifetime(self, max_age: float | None) -> float:
        """The lifetime in force for a set that came with that max-age; never beyond the stale limit."""
        wanted = self.default_lifetime if max_age is None else max_age
        return min(max(wanted, self.min_lifetime), self.max_lifetime, self.stale_limit)

    def retry_delay(self, failures: int) -> float:
        """Seconds from the start of the last of so many failed attempts to the next."""
        return min(self.retry_most, self.retry_first * 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys that were on hand at one moment. Times in the cache's clock."""

    keys: tuple[TrustedKey, ...]
    by_token: dict[tuple[str | None, str], TrustedKey]
    refresh_at: float
    drop_at: float

    def find(self, kid: str | None, alg: str) -> TrustedKey | None:
        """The key for a token with that header."""
        found = self.by_token.get((kid, alg))
        if found is not None or kid is not None:
            return found
        return select(self.keys, None, alg)

    def knows(self, kid: str) -> bool:
        """Whether there is a key of that kid: what a metric may name."""
        return any(key.kid == kid for key in self.keys)


@dataclass(frozen=True, slots=True)
class Refresh:
    """A fetch to wait for. `joined`: it had begun before it was asked for, so it may have missed a new key."""

    done: Future[None]
    joined: bool


_log = logging.getLogger(__name__)
_EMPTY = Snapshot((), {}, float("-inf"), float("-inf"))
_caches: weakref.WeakSet["JwksCache"] = weakref.WeakSet()
FetchFunction = Callable[[], Fetched]


class JwksCache:
    """The keys of one issuer, fetched from `url`.

    Use from any number of threads, or from asyncio through `Verifier.averify`; a forked process goes on with the
    keys on hand and a thread of its own. Close it, or use it in a `with` statement; its thread is a daemon.
    user_agent: by which the endpoint knows who fetches (RFC 9110 section 10.1.5).
    `fetch` and `clock` (monotonic seconds) are for tests.
    """

    def __init__(
        self,
        url: str,
        issuer: str,
        *,
        policy: CachePolicy | None = None,
        instruments: Instruments | None = None,
        tls: ssl.SSLContext | None = None,
        user_agent: str = USER_AGENT,
        fetch: FetchFunction | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.issuer = issuer
        self.policy = policy or CachePolicy()
        self._tls = tls or ssl.create_default_context()
        self._user_agent = user_agent
        self._fetch = fetch or self._fetch_http
        self._clock = clock
        self._snapshot = _EMPTY
        self._closed = False
        self._next_attempt = clock()
        self._failures = 0
        self._allowance = float(self.policy.allowance)
        self._allowance_at = clock()
        self._report = _CacheMetrics(instruments or Instruments(), issuer, self.policy)
        self._without_thread()
        _caches.add(self)

    def _without_thread(self) -> None:
        """No thread runs and nobody waits: at the beginning, and in a process that was just forked."""
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting: Future[None] | None = None  # of those who wait for the next fetch to begin
        self._under_way: Future[None] | None = None

    def on_hand(self) -> Snapshot:
        """The keys that are here and not too old; never waits."""
        snapshot = self._snapshot
        now = self._clock()
        if now >= snapshot.refresh_at:
            self._start()
        return snapshot if now < snapshot.drop_at else _EMPTY

    def request_refresh(self, seen: Snapshot) -> Refresh | None:
        """Ask for a fetch because a key is missing from `seen`, or no longer fits.

        When other keys have come since, it is done already. None when no fetch is due: the endpoint failed a moment
        ago, the allowance is used up, or the cache is closed.
        """
        with self._condition:
            if self._closed:
                return None
            if self._snapshot is not seen and self._clock() < self._snapshot.drop_at:
                return Refresh(_finished(), joined=True)
            self._start()
            if self._under_way is not None:
                return Refresh(self._under_way, joined=True)
            if self._waiting is None:
                now = self._clock()
                if self._failures:
                    if now < self._next_attempt:
                        return None
                elif seen is not _EMPTY and not self._spend_allowance(now):
                    return None
                self._waiting = _running()
                self._next_attempt = now
                self._condition.notify_all()
            return Refresh(self._waiting, joined=False)

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(self.policy.limits.timeout + 1)

    def __enter__(self) -> "JwksCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._closed or (self._thread is not None and self._thread.is_alive()):
            return
        with self._condition:  # a Condition's lock may be taken again by the thread that holds it
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="jwks-refresh", daemon=True)
                self._thread.start()

    def _spend_allowance(self, now: float) -> bool:
        gained = (now - self._allowance_at) / self.policy.allowance_refill
        self._allowance = min(float(self.policy.allowance), self._allowance + gained)
        self._allowance_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._closed and (wait := self._next_attempt - self._clock()) > 0:
                    self._condition.wait(wait)
                done, self._waiting = self._waiting or _running(), None
                if self._closed:
                    done.set_result(None)
                    return
                self._under_way = done
                started = self._clock()
            try:
                self._attempt(started)
            finally:
                with self._condition:
                    self._under_way = None
                done.set_result(None)

    def _attempt(self, started: float) -> None:
        try:
            fetched = self._fetch()
            lifetime = self.policy.lifetime(fetched.max_age)
            fresh = Snapshot(
                fetched.keys,
                {(k.kid, alg): k for k in reversed(fetched.keys) if k.kid is not None for alg in k.algorithms},
                started + lifetime * self.policy.refresh_at,
                started + self.policy.stale_limit,
            )
        except BaseException as error:  # noqa: BLE001 - the thread must outlive whatever a fetch runs into
            _log.warning("key set of %s not fetched: %s", self.issuer, _why(error))
            with self._condition:
                self._failures += 1
                self._next_attempt = started + self.policy.retry_delay(self._failures)
                if self._clock() >= self._snapshot.drop_at:
                    self._snapshot = _EMPTY
                self._report.failure(self._clock() - started, self._snapshot.keys)
            return
        with self._condition:
            self._failures = 0
            self._next_attempt = fresh.refresh_at
            self._snapshot = fresh
            self._report.success(self._clock() - started, fetched, lifetime)

    def _fetch_http(self) -> Fetched:
        return fetch_keyset(self.url, self.policy.limits, self._tls, self._user_agent)


def _running() -> Future[None]:
    """A future that no impatient waiter can cancel for all."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


def _finished() -> Future[None]:
    future = _running()
    future.set_result(None)
    return future


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, FetchError) else type(error).__name__


def _after_fork() -> None:
    for cache in list(_caches):
        cache._without_thread()  # noqa: SLF001 - its own module


os.register_at_fork(after_in_child=_after_fork)


class _CacheMetrics:
    """What is in force, as metrics: attempts, keys on hand, lifetime, stale limit, last success.

    A set that a cache on the way held counts as fetched when that cache had it: else one that goes on serving an old
    set would look like a fresh one. The Date header is not looked at, for it would make a wrong clock look like that.
    """

    def __init__(self, instruments: Instruments, issuer: str, policy: CachePolicy) -> None:
        self._issuer = issuer
        fetches = instruments.counter(metrics.JWKS_FETCH)
        durations = instruments.histogram(metrics.JWKS_FETCH_DURATION)
        self._fetches = {result: fetches.labels(issuer, result) for result in ("success", "failure")}
        self._durations = {result: durations.labels(issuer, result) for result in ("success", "failure")}
        self._last = instruments.gauge(metrics.JWKS_LAST_SUCCESS)
        self._keys = instruments.gauge(metrics.JWKS_KEYS)
        self._fetched = False  # until then there is no number of keys, for 0 would be a change when the first come
        self._lifetime = instruments.gauge(metrics.JWKS_LIFETIME).labels(issuer)
        instruments.gauge(metrics.JWKS_STALE_LIMIT).labels(issuer).set(policy.stale_limit)
        self._info = instruments.gauge(metrics.SIGNING_KEY_INFO)
        self._named: set[tuple[str, str]] = set()

    def success(self, seconds: float, fetched: Fetched, lifetime: float) -> None:
        self._fetched = True
        self._count("success", seconds, fetched.keys)
        self._last.labels(self._issuer).set(time.time() - fetched.age)
        self._lifetime.set(lifetime)

    def failure(self, seconds: float, keys: tuple[TrustedKey, ...]) -> None:
        self._count("failure", seconds, keys)

    def _count(self, result: str, seconds: float, keys: tuple[TrustedKey, ...]) -> None:
        self._fetches[result].inc()
        self._durations[result].observe(seconds)
        if self._fetched:
            self._keys.labels(self._issuer).set(len(keys))
        named = {(key.kid or UNKNOWN, key.alg_label) for key in keys[:MOST_KIDS]}
        for kid, alg in self._named - named:
            self._info.remove(self._issuer, kid, alg, "trusted")
        for kid, alg in named:
            self._info.labels(self._issuer, kid, alg, "trusted").set(1)
        self._named = named
