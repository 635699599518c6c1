"""An API front that asks a function about each token, and goes by its answer for a while: a serverless authorizer.

As at the clouds' gateways (Amazon API Gateway's Lambda authorizers among them) an acceptance stands for its time to
live whatever becomes of the token meanwhile: it may expire or be revoked. Refusals are not kept. The function starts
cold when it was not called for long: without keys, and after a delay.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.registry import Collector

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.lab.resource import guarded, own_instruments
from jwtdrill.lab.settings import AuthorizerSettings, read_settings
from jwtdrill.lab.verifier import revocations_of, verifying
from jwtdrill.verify import Claims, JwksCache, TokenVerifier, Verifier
from jwtdrill.verify.middleware import Application
from jwtdrill.verify.verifier import Check

_MOST_ANSWERS = 10_000
Clock = Callable[[], float]


class AnswerCache:
    """Before a verifier: goes by its acceptance of a token for `ttl` seconds. `clock` never goes back."""

    def __init__(self, behind: TokenVerifier, ttl: float, clock: Clock = time.monotonic) -> None:
        self._behind = behind
        self._ttl = ttl
        self._clock = clock
        self._kept: dict[bytes, tuple[float, Claims]] = {}

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """The claims of a token that is good, or was. Raises VerificationError."""
        if once:  # what is remembered says nothing of a second use
            return await self._behind.averify(token, once=True, check=check)
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        until, claims = self._kept.get(name, (-math.inf, {}))
        if self._clock() < until:
            if check is not None:
                check(claims)
            return claims
        self._kept.pop(name, None)
        claims = await self._behind.averify(token, check=check)
        while len(self._kept) >= _MOST_ANSWERS:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = (self._clock() + self._ttl, claims)
        return claims


@dataclass(frozen=True)
class _Instance:
    """A function that runs: nothing of one before it is left, neither keys nor counters."""

    instruments: Instruments
    cache: JwksCache
    verifier: Verifier


class Function(Collector):
    """Verifies when it is called. It is started anew after `idle` seconds without a call, and tells its metrics."""

    def __init__(
        self,
        settings: AuthorizerSettings,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._revocations = revocations_of(settings.guard)
        self._instance: _Instance | None = None
        self._last_call = -math.inf
        self._starting = asyncio.Lock()

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """The claims of a good token. Raises VerificationError."""
        async with self._starting:
            if self._instance is None or self._clock() - self._last_call > self._settings.idle:
                self._instance = await self._start(self._instance)
            self._last_call = self._clock()
            instance = self._instance
        return await instance.verifier.averify(token, once=once, check=check)

    def collect(self) -> Iterator[Metric]:
        """The metrics of the instance that runs."""
        if self._instance is not None:
            yield from self._instance.instruments.registry.collect()

    async def _start(self, old: _Instance | None) -> _Instance:
        if old is not None:
            asyncio.get_running_loop().run_in_executor(None, old.cache.close)  # it may wait for a fetch that hangs
        await self._sleep(self._settings.start_seconds)
        guard, instruments = self._settings.guard, Instruments()
        cache = guard.keys.cache(guard.issuer, instruments)
        return _Instance(instruments, cache, verifying(guard, cache, instruments, self._revocations))


def build(settings: AuthorizerSettings) -> Application:
    """The application."""
    instruments = own_instruments()
    function = Function(settings)
    instruments.registry.register(function)
    return guarded(settings.guard, AnswerCache(function, settings.ttl), instruments)


def create() -> Application:
    """The application, from the settings that the environment names."""
    return build(read_settings(AuthorizerSettings))
