"""A key set endpoint that a test directs, in the place of HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.conftest import FakeClock

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import CachePolicy, JwksCache, Verifier, VerifierPolicy
from jwtdrill.verify.fetch import Fetched, FetchError
from jwtdrill.verify.keyset import parse_keyset

ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"


class Endpoint:
    """Counts fetches; serves `keys`, fails while `down`, and blocks while `hold` is cleared."""

    def __init__(self, *keys: SigningKey, max_age: float | None = 300) -> None:
        self.keys = list(keys)
        self.max_age = max_age
        self.age = 0.0
        self.down = False
        self.fetches = 0
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self) -> Fetched:
        self.fetches += 1
        assert self.hold.wait(10)
        if self.down:
            raise FetchError("down")
        return Fetched(parse_keyset(json.dumps(jwks(self.keys)).encode()), self.max_age, self.age)


@pytest.fixture
def endpoint(keys: dict[Algorithm, SigningKey]) -> Endpoint:
    return Endpoint(keys[Algorithm.ES256])


MakeCache = Callable[..., JwksCache]


@pytest.fixture
def make_cache(clock: FakeClock) -> Iterator[MakeCache]:
    """Caches on the test's clock, closed at its end."""
    made: list[JwksCache] = []

    def make(
        endpoint: Endpoint, policy: CachePolicy | None = None, instruments: Instruments | None = None
    ) -> JwksCache:
        cache = JwksCache("http://unused", ISSUER, policy=policy, fetch=endpoint, clock=clock, instruments=instruments)
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


def verifier(cache: JwksCache, **policy: object) -> Verifier:
    algorithms = ("ES256", "RS256", "PS256", "EdDSA")
    return Verifier(VerifierPolicy(ISSUER, AUDIENCE, algorithms=algorithms, **policy), cache)


def good(key: SigningKey, **more: object) -> str:
    return Minter(key).mint(Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE, **more))


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.002)
