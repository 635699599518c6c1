"""The cache does better than those in use: each test is a failure that was measured on one of them."""

import os
import threading
import time
from pathlib import Path

import pytest
from tests.conftest import FakeClock
from tests.verify.conftest import ISSUER, Endpoint, MakeCache, good, until, verifier

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify import CachePolicy, JwksCache, VerificationError
from jwtdrill.verify.fetch import Fetched

POLICY = CachePolicy(stale_limit=3600, retry_first=1, retry_most=30, allowance=4, allowance_refill=10)


def refused(check: object, token: str) -> Reason:
    with pytest.raises(VerificationError) as caught:
        check.verify(token)
    return caught.value.reason


def test_fifty_cold_threads_cause_one_fetch(endpoint: Endpoint, make_cache: MakeCache) -> None:
    check = verifier(make_cache(endpoint, POLICY))
    token = good(endpoint.keys[0])
    endpoint.hold.clear()
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(check.verify(token))) for _ in range(50)]
    for thread in threads:
        thread.start()
    until(lambda: endpoint.fetches == 1)
    endpoint.hold.set()
    for thread in threads:
        thread.join()
    assert (len(results), endpoint.fetches) == (50, 1)


def test_a_known_key_never_waits_for_a_fetch_under_way(endpoint: Endpoint, make_cache: MakeCache) -> None:
    cache = make_cache(endpoint, POLICY)
    check = verifier(cache)
    token = good(endpoint.keys[0])
    check.verify(token)
    endpoint.hold.clear()
    assert cache.request_refresh(cache.on_hand()) is not None
    until(lambda: endpoint.fetches == 2)
    began = time.perf_counter()
    for _ in range(100):
        check.verify(token)
    assert time.perf_counter() - began < 5  # it would block for as long as the endpoint does
    endpoint.hold.set()


@pytest.mark.parametrize("down", [False, True])
def test_a_thousand_unknown_kids_cause_a_few_fetches(
    endpoint: Endpoint, make_cache: MakeCache, clock: FakeClock, down: bool
) -> None:
    check = verifier(make_cache(endpoint, POLICY))
    token = good(endpoint.keys[0])
    check.verify(token)
    endpoint.down = down
    before = endpoint.fetches
    for _ in range(1000):
        stranger = SigningKey(f"kid-{_}", Algorithm.ES256, endpoint.keys[0].private)
        assert refused(check, good(stranger)) is Reason.UNKNOWN_KID
        clock.pass_(0.01)
    # The allowance at once, and one more for each refill: 4 + 10 s / 10 s.
    assert endpoint.fetches - before <= 5
    check.verify(token)  # and no unknown kid evicts the keys on hand


def test_a_new_key_one_second_after_a_fetch_is_accepted_at_once(
    endpoint: Endpoint, make_cache: MakeCache, clock: FakeClock, keys: dict[Algorithm, SigningKey]
) -> None:
    check = verifier(make_cache(endpoint, POLICY))
    check.verify(good(endpoint.keys[0]))
    clock.pass_(1)
    endpoint.keys.append(keys[Algorithm.RS256])
    assert check.verify(good(keys[Algorithm.RS256]))["sub"] == "s"


def test_the_back_off_counts_from_the_attempt_and_doubles(
    endpoint: Endpoint, make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(endpoint, POLICY)
    endpoint.down = True
    for wait in (1, 2, 4, 8, 16, 30, 30):
        fetch = cache.request_refresh(cache.on_hand())
        assert fetch is not None
        fetch.done.result(5)
        assert cache.request_refresh(cache.on_hand()) is None
        clock.pass_(wait - 0.01)
        assert cache.request_refresh(cache.on_hand()) is None
        clock.pass_(0.02)


def test_keys_on_hand_serve_through_an_outage_up_to_the_stale_limit(
    endpoint: Endpoint, make_cache: MakeCache, clock: FakeClock
) -> None:
    check = verifier(make_cache(endpoint, POLICY))
    token = good(endpoint.keys[0])
    check.verify(token)
    endpoint.down = True
    clock.pass_(3599)
    check.verify(token)
    clock.pass_(2)
    assert refused(check, token) is Reason.KEY_UNAVAILABLE
    endpoint.down = False
    clock.pass_(31)
    check.verify(token)


def test_a_key_that_left_the_set_is_gone_at_once(
    endpoint: Endpoint, make_cache: MakeCache, keys: dict[Algorithm, SigningKey]
) -> None:
    cache = make_cache(endpoint, POLICY)
    check = verifier(cache)
    token = good(endpoint.keys[0])
    check.verify(token)
    endpoint.keys = [keys[Algorithm.RS256]]
    fetch = cache.request_refresh(cache.on_hand())
    assert fetch is not None
    fetch.done.result(5)
    assert refused(check, token) is Reason.UNKNOWN_KID


def test_the_same_kid_with_another_key_is_noticed_within_the_bound(endpoint: Endpoint, make_cache: MakeCache) -> None:
    check = verifier(make_cache(endpoint, POLICY))
    old = endpoint.keys[0]
    check.verify(good(old))
    new = SigningKey.generate(Algorithm.ES256, old.kid)
    endpoint.keys = [new]
    check.verify(good(new))
    before = endpoint.fetches
    for _ in range(100):
        assert refused(check, good(old)) is Reason.BAD_SIGNATURE
    assert endpoint.fetches - before <= POLICY.allowance


def test_it_refreshes_ahead_of_expiry_without_being_asked(
    endpoint: Endpoint, make_cache: MakeCache, clock: FakeClock
) -> None:
    cache = make_cache(endpoint, POLICY)
    verifier(cache).verify(good(endpoint.keys[0]))
    clock.pass_(300 * 0.75 + 0.1)
    cache.request_refresh(cache.on_hand())  # a fake clock wakes no thread
    until(lambda: endpoint.fetches == 2)


@pytest.mark.parametrize(("max_age", "lifetime"), [(None, 300), (0, 5), (5, 5), (60, 60), (10**9, 3600)])
def test_the_lifetime_is_what_the_endpoint_says_within_bounds(max_age: float | None, lifetime: float) -> None:
    assert CachePolicy().lifetime(max_age) == lifetime


def test_each_unknown_kid_costs_one_fetch_of_the_allowance(
    endpoint: Endpoint, make_cache: MakeCache, keys: dict[Algorithm, SigningKey]
) -> None:
    """So that three strangers leave one for a new key."""
    check = verifier(make_cache(endpoint, POLICY))
    check.verify(good(endpoint.keys[0]))
    for number in range(3):
        refused(check, good(SigningKey(f"kid-{number}", Algorithm.ES256, endpoint.keys[0].private)))
    assert endpoint.fetches == 4
    endpoint.keys.append(keys[Algorithm.RS256])
    check.verify(good(keys[Algorithm.RS256]))


def test_keys_that_came_since_one_looked_cost_nothing(endpoint: Endpoint, make_cache: MakeCache) -> None:
    cache = make_cache(endpoint, POLICY)
    seen = cache.on_hand()
    verifier(cache).verify(good(endpoint.keys[0]))
    refresh = cache.request_refresh(seen)
    assert refresh is not None
    assert refresh.done.done()
    assert endpoint.fetches == 1


def test_a_forked_process_refreshes_by_itself(endpoint: Endpoint, tmp_path: Path) -> None:
    """As gunicorn's workers do that are forked from a warm parent."""
    endpoint.max_age = 0
    policy = CachePolicy(min_lifetime=0.2)
    with JwksCache("http://unused", ISSUER, policy=policy, fetch=endpoint) as cache:
        check = verifier(cache)
        check.verify(good(endpoint.keys[0]))
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            before = endpoint.fetches
            deadline = time.monotonic() + 5
            while endpoint.fetches < before + 3 and time.monotonic() < deadline:
                check.verify(good(endpoint.keys[0]))
                time.sleep(0.02)
            os._exit(0 if endpoint.fetches >= before + 3 else 1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_whatever_a_fetch_raises_the_cache_goes_on(
    make_cache: MakeCache, endpoint: Endpoint, clock: FakeClock, error: type[BaseException]
) -> None:
    calls = 0

    def fetch() -> Fetched:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        return endpoint()

    cache = make_cache(fetch, POLICY)  # type: ignore[arg-type]
    check = verifier(cache)
    token = good(endpoint.keys[0])
    assert refused(check, token) is Reason.KEY_UNAVAILABLE
    clock.pass_(2)
    check.verify(token)


def test_what_is_in_force_is_visible(endpoint: Endpoint, make_cache: MakeCache) -> None:
    instruments = Instruments()
    cache = make_cache(endpoint, POLICY, instruments)
    verifier(cache).verify(good(endpoint.keys[0]))
    value = instruments.registry.get_sample_value
    issuer = {"issuer": cache.issuer}
    until(lambda: value("jwt_jwks_keys", issuer) == 1)
    assert value("jwt_jwks_lifetime_seconds", issuer) == 300
    assert value("jwt_jwks_stale_limit_seconds", issuer) == 3600
    assert value("jwt_jwks_last_success_timestamp_seconds", issuer) == pytest.approx(time.time(), abs=10)
    assert value("jwt_jwks_fetch_total", issuer | {"result": "success"}) == 1
    kid = {"kid": endpoint.keys[0].kid, "alg": "ES256", "state": "trusted"}
    assert value("jwt_signing_key_info", issuer | kid) == 1
    endpoint.down = True
    fetch = cache.request_refresh(cache.on_hand())
    assert fetch is not None
    fetch.done.result(5)
    assert value("jwt_jwks_fetch_total", issuer | {"result": "failure"}) == 1
    assert value("jwt_jwks_keys", issuer) == 1


def test_a_set_that_a_cache_serves_for_ever_grows_old(endpoint: Endpoint, make_cache: MakeCache) -> None:
    """Each fetch succeeds, and the last success is as long ago as the set is old."""
    instruments = Instruments()
    cache = make_cache(endpoint, POLICY, instruments)
    for age in (0.0, 5000.0, 10000.0):
        endpoint.age = age
        fetch = cache.request_refresh(cache.on_hand())
        assert fetch is not None
        fetch.done.result(5)
        last = instruments.registry.get_sample_value(
            "jwt_jwks_last_success_timestamp_seconds", {"issuer": cache.issuer}
        )
        assert last == pytest.approx(time.time() - age, abs=10)
    verifier(cache).verify(good(endpoint.keys[0]))  # old as it is, it is trusted: the origin may be the same still


def test_after_close_nobody_is_left_waiting(endpoint: Endpoint, make_cache: MakeCache) -> None:
    cache = make_cache(endpoint, POLICY)
    verifier(cache).verify(good(endpoint.keys[0]))
    cache.close()
    fetch = cache.request_refresh(cache.on_hand())
    assert fetch is None
