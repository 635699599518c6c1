"""Where a token is good once, its second use is refused, whoever brings it and however much is remembered."""

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest
from tests.conftest import FakeClock
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.keys import SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import ReplayMemory, ReplayStore, VerificationError, Verifier, VerifierPolicy
from jwtdrill.verify.replay import ReplayMemoryFullError

LEEWAY = 30.0


@pytest.fixture
def key(endpoint: Endpoint) -> SigningKey:
    return endpoint.keys[0]


def once(verifier: Verifier, token: str, **more: Any) -> Reason | None:
    try:
        verifier.verify(token, once=True, **more)
    except VerificationError as refusal:
        return refusal.reason
    return None


def named(key: SigningKey, jti: str | None) -> str:
    claims = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE)
    return Minter(key).mint(claims._replace(jti=jti))


@pytest.fixture
def make(make_cache: MakeCache, endpoint: Endpoint) -> Any:
    def verifier(replays: ReplayStore | None = None, **more: Any) -> Verifier:
        policy = VerifierPolicy(ISSUER, AUDIENCE, algorithms=("ES256",), leeway=LEEWAY)
        return Verifier(policy, make_cache(endpoint), replays=replays, **more)

    return verifier


@pytest.mark.parametrize("decisions", [0, 10])
def test_the_second_use_is_refused_and_counted(make: Any, key: SigningKey, decisions: int) -> None:
    instruments = Instruments()
    check, token = make(instruments=instruments, decisions=decisions), good(key)
    check.verify(token)  # elsewhere, where it may come again
    assert once(check, token) is None
    assert once(check, token) is Reason.REPLAYED
    with pytest.raises(VerificationError, match="replayed"):
        asyncio.run(check.averify(token, once=True))
    check.verify(token)
    labels = {"issuer": ISSUER, "audience": AUDIENCE, "kid": key.kid, "alg": "ES256"}
    counted = instruments.registry.get_sample_value
    assert counted("jwt_verification_total", {**labels, "result": "failure", "reason": "replayed"}) == 2
    assert counted("jwt_verification_total", {**labels, "result": "success", "reason": ""}) == 3


def test_another_spelling_of_the_token_is_the_same_token(make: Any, key: SigningKey) -> None:
    """An ECDSA signature (r, s) fits as (r, n - s) too: who remembers a hash of the token lets it in again."""
    check, claims = make(), Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE)
    first, second = Minter(key).mint(claims), Minter(key).mint(claims)
    assert first != second
    assert (once(check, first), once(check, second)) == (None, Reason.REPLAYED)


def test_without_a_jti_it_is_refused_and_elsewhere_it_is_not(make: Any, key: SigningKey) -> None:
    check = make()
    for jti in (None, ""):
        token = named(key, jti)
        assert once(check, token) is Reason.MISSING_CLAIM
        check.verify(token)


def test_a_token_that_is_refused_for_something_else_is_not_used_up(make: Any, key: SigningKey) -> None:
    check, token = make(), good(key)

    def unproved(_: Any) -> None:
        raise VerificationError(Reason.PROOF_INVALID, "no proof")

    assert once(check, token, check=unproved) is Reason.PROOF_INVALID
    assert once(check, token) is None


def test_of_many_at_once_one_gets_in(make: Any, key: SigningKey) -> None:
    check, token = make(), good(key)
    check.verify(token)
    begin, seen = threading.Barrier(8), []

    def use() -> None:
        begin.wait()
        seen.append(once(check, token))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen, key=str).count(None) == 1
    assert seen.count(Reason.REPLAYED) == 7


def test_it_is_remembered_until_expiry_and_leeway(make: Any, key: SigningKey) -> None:
    asked: list[tuple[str, str, float]] = []

    class Store:
        def first_use(self, issuer: str, jti: str, seconds: float) -> bool:
            asked.append((issuer, jti, seconds))
            return True

    now = time.time()
    assert once(make(Store(), clock=lambda: now), named(key, "j")) is None
    assert asked == [(ISSUER, "j", pytest.approx(300 + LEEWAY, abs=2))]


class Shared:
    """A store of several nodes that answers later, from a thread of its own; or not at all."""

    def __init__(self, *, silent: bool = False) -> None:
        self.memory, self.silent = ReplayMemory(), silent

    def first_use(self, issuer: str, jti: str, seconds: float) -> Future[bool]:
        future: Future[bool] = Future()
        if not self.silent:
            threading.Timer(0.02, lambda: future.set_result(self.memory.first_use(issuer, jti, seconds))).start()
        return future


def test_nodes_that_share_a_store_let_it_in_once_among_them(make: Any, key: SigningKey) -> None:
    shared, token = Shared(), good(key)
    here, there = make(shared), make(shared)
    assert once(here, token) is None
    with pytest.raises(VerificationError, match="replayed"):
        asyncio.run(there.averify(token, once=True))
    assert once(here, token) is Reason.REPLAYED


class Broken:
    """A store that fails, at once or later, with something of the token in its error."""

    def __init__(self, *, later: bool) -> None:
        self.later = later

    def first_use(self, issuer: str, jti: str, seconds: float) -> Future[bool]:
        error = ConnectionError(f"{issuer} {jti} {seconds}")
        if not self.later:
            raise error
        future: Future[bool] = Future()
        future.set_exception(error)
        return future


@pytest.mark.parametrize("store", [Shared(silent=True), Broken(later=False), Broken(later=True)])
def test_a_store_that_does_not_tell_lets_nobody_in(
    make: Any, key: SigningKey, store: ReplayStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jwtdrill.verify.verifier._STORE_SECONDS", 0.05)
    check, token = make(store), named(key, "secret-jti")
    with pytest.raises(VerificationError) as refusal:
        check.verify(token, once=True)
    assert refusal.value.reason is Reason.REPLAY_UNKNOWN
    assert refusal.value.__context__ is None
    with pytest.raises(VerificationError, match="replay_unknown"):
        asyncio.run(check.averify(token, once=True))
    assert "secret-jti" not in caplog.text
    check.verify(token)


def test_a_full_memory_refuses_new_tokens_knows_the_old_and_takes_new_ones_when_those_expire(clock: FakeClock) -> None:
    memory = ReplayMemory(most=100, clock=clock)
    for number in range(100):
        assert memory.first_use("i", str(number), 60 + number)
    for number in range(1000):
        with pytest.raises(ReplayMemoryFullError):
            memory.first_use("i", f"more {number}", 60)
    assert len(memory) == 100
    assert not any(memory.first_use("i", str(number), 60) for number in range(100))
    clock.pass_(60.5)
    assert memory.first_use("i", "another", 60)
    assert not memory.first_use("i", "1", 60)


def test_memory_is_bounded_by_expiry_however_many_come(clock: FakeClock) -> None:
    memory = ReplayMemory(most=1000, clock=clock)
    for number in range(10_000):
        assert memory.first_use("i", str(number), 60)
        clock.pass_(1)
        assert len(memory) <= 60
    clock.pass_(1e6)
    assert memory.first_use("i", "9999", 60)
    assert len(memory) == 1


def test_tokens_as_large_as_they_may_be_take_no_more_room(clock: FakeClock) -> None:
    memory = ReplayMemory(clock=clock)
    for number in range(10):
        memory.first_use("i", "\ud800" * 16_000 + str(number), 60)
    assert all(len(name) == 32 for name in memory._used)


def test_issuer_and_jti_are_told_apart() -> None:
    memory = ReplayMemory()
    assert memory.first_use("ab", "c", 60)
    assert memory.first_use("a", "bc", 60)
    assert memory.first_use("a", "c", 60)
    assert not memory.first_use("ab", "c", 60)
