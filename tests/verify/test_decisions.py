"""Remembered decisions never accept what a fresh verification would refuse.

Each test is a way in which verdict caches do: by keeping a verdict beyond what it rested on, under too coarse a name,
or for too many.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import generate_latest
from tests.conftest import FakeClock
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good, until

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases import CASES, Material
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import CachePolicy, JwksCache, VerificationError, Verifier, VerifierPolicy
from jwtdrill.verify.decisions import DecisionCache

ES256 = Algorithm.ES256


class Signatures:
    """Counts the signatures that a verifier checks."""

    def __init__(self, verifier: Verifier) -> None:
        self.checked = 0
        real = verifier._jws.decode

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.checked += 1
            return real(*args, **kwargs)

        verifier._jws.decode = counted  # type: ignore[method-assign]


def remembering(cache: JwksCache, size: int = 100, **more: Any) -> Verifier:
    policy = VerifierPolicy(ISSUER, more.pop("audience", AUDIENCE), algorithms=("ES256", "RS256"), leeway=30)
    return Verifier(policy, cache, decisions=size, **more)


def reason_of(check: Verifier, token: str) -> Reason | None:
    try:
        check.verify(token)
    except VerificationError as refusal:
        return refusal.reason
    return None


@pytest.fixture
def cache(make_cache: MakeCache, endpoint: Endpoint) -> JwksCache:
    return make_cache(endpoint)


@pytest.fixture
def key(keys: dict[Algorithm, SigningKey]) -> SigningKey:
    return keys[ES256]


def test_the_second_use_costs_no_signature_and_gives_the_same_claims(cache: JwksCache, key: SigningKey) -> None:
    check = remembering(cache)
    signatures = Signatures(check)
    token = good(key, scope="a b")
    assert check.verify(token) == check.verify(token) == asyncio.run(check.averify(token))
    assert signatures.checked == 1


def test_it_is_off_by_default(cache: JwksCache, key: SigningKey) -> None:
    check = Verifier(VerifierPolicy(ISSUER, AUDIENCE), cache)
    signatures = Signatures(check)
    token = good(key)
    check.verify(token)
    check.verify(token)
    assert signatures.checked == 2


def test_a_token_is_refused_once_it_has_expired(cache: JwksCache, key: SigningKey) -> None:
    wall = FakeClock(time.time())
    check = remembering(cache, clock=wall)
    token = good(key)  # for 300 s, and 30 s of leeway
    assert reason_of(check, token) is None
    wall.pass_(329)
    assert reason_of(check, token) is None
    wall.pass_(2)
    assert reason_of(check, token) is Reason.EXPIRED


def test_a_decision_stands_no_longer_than_its_lifetime_and_no_longer_than_its_token(
    cache: JwksCache, key: SigningKey
) -> None:
    wall = FakeClock(time.time())
    check = remembering(cache, clock=wall, decision_lifetime=5)
    signatures = Signatures(check)
    token = good(key)  # for 300 s, and 30 s of leeway
    for seconds, checked in ((0, 1), (4.9, 1), (0.2, 2), (4.7, 2)):
        wall.pass_(seconds)
        check.verify(token)
        assert signatures.checked == checked
    wall.pass_(330 - 9.8 - 1)
    check.verify(token)
    wall.pass_(2)
    assert reason_of(check, token) is Reason.EXPIRED


def test_a_token_is_refused_when_the_clock_goes_back_before_its_time(cache: JwksCache, key: SigningKey) -> None:
    wall = FakeClock(time.time())
    check = remembering(cache, clock=wall)
    token = good(key)
    assert reason_of(check, token) is None
    wall.pass_(-60)
    assert reason_of(check, token) is Reason.NOT_YET_VALID


def test_a_token_is_refused_once_it_is_revoked(cache: JwksCache, key: SigningKey) -> None:
    revoked: set[str] = set()
    check = remembering(cache, revoked=lambda claims: claims["jti"] in revoked)
    token = good(key)
    jti = check.verify(token)["jti"]
    assert reason_of(check, token) is None
    revoked.add(jti)
    assert reason_of(check, token) is Reason.REVOKED
    assert reason_of(check, good(key)) is None


def test_a_token_is_refused_once_its_key_is_gone(
    make_cache: MakeCache, endpoint: Endpoint, key: SigningKey, keys: dict[Algorithm, SigningKey], clock: FakeClock
) -> None:
    cache = make_cache(endpoint)
    check = remembering(cache)
    token = good(key)
    assert reason_of(check, token) is None
    endpoint.keys = [keys[Algorithm.RS256]]
    clock.pass_(300 * 0.75 + 1)
    cache.request_refresh(cache.on_hand())
    until(lambda: not cache.on_hand().knows(key.kid))
    assert reason_of(check, token) is Reason.UNKNOWN_KID


def test_a_token_is_refused_once_its_kid_names_another_key(
    make_cache: MakeCache, endpoint: Endpoint, key: SigningKey, clock: FakeClock
) -> None:
    cache = make_cache(endpoint)
    check = remembering(cache)
    token = good(key)
    assert reason_of(check, token) is None
    endpoint.keys = [SigningKey.generate(ES256, key.kid)]
    fingerprint = cache.on_hand().keys[0].fingerprint
    clock.pass_(300 * 0.75 + 1)
    cache.request_refresh(cache.on_hand())
    until(lambda: cache.on_hand().keys[0].fingerprint != fingerprint)
    assert reason_of(check, token) is Reason.BAD_SIGNATURE


def test_a_token_is_refused_once_the_keys_are_too_old(
    make_cache: MakeCache, endpoint: Endpoint, key: SigningKey, clock: FakeClock
) -> None:
    check = remembering(make_cache(endpoint, CachePolicy(stale_limit=600)))
    token = good(key)
    assert reason_of(check, token) is None
    endpoint.down = True
    clock.pass_(601)
    assert reason_of(check, token) is Reason.KEY_UNAVAILABLE


@pytest.mark.parametrize("name", ["bad_signature", "unknown_kid", "alg_none", "expired", "wrong_audience"])
def test_what_is_like_an_accepted_token_is_another_token(cache: JwksCache, key: SigningKey, name: str) -> None:
    """The same payload under another signature or header, the same signature under another payload."""
    check = remembering(cache)
    token = good(key)
    assert reason_of(check, token) is None
    forged = CASES[name].forge(Material(token, Minter(key)))
    assert reason_of(check, forged) is CASES[name].reason


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t + "=",
        lambda t: t + " ",
        lambda t: t.upper(),
        lambda t: t.replace(".", "..", 1),
        lambda t: t.rpartition(".")[0] + ".",
        lambda t: ".".join((t.split(".")[0], t.split(".")[1] + "=", t.split(".")[2])),
    ],
)
def test_the_decision_is_on_the_whole_token(cache: JwksCache, key: SigningKey, change: Callable[[str], str]) -> None:
    plain, check = Verifier(VerifierPolicy(ISSUER, AUDIENCE, ("ES256", "RS256")), cache), remembering(cache)
    token = good(key)
    assert reason_of(check, token) is None
    assert reason_of(check, change(token)) == reason_of(plain, change(token))


def test_a_decision_for_one_audience_is_none_for_another(cache: JwksCache, key: SigningKey) -> None:
    token = good(key)
    assert reason_of(remembering(cache), token) is None
    assert reason_of(remembering(cache, audience="https://other.example"), token) is Reason.WRONG_AUDIENCE


def test_a_refusal_is_not_remembered(cache: JwksCache, key: SigningKey) -> None:
    wall = FakeClock(time.time())
    check = remembering(cache, clock=wall)
    early = Minter(key).mint(Claims.lasting(300, now=time.time() + 60, iss=ISSUER, sub="s", aud=AUDIENCE))
    assert reason_of(check, early) is Reason.NOT_YET_VALID
    wall.pass_(60)
    assert reason_of(check, early) is None


def test_what_a_caller_does_to_the_claims_stays_with_the_caller(cache: JwksCache, key: SigningKey) -> None:
    check = remembering(cache)
    token = good(key, scope="read", extra={"roles": ["reader"], "org": {"id": 1}})
    for _ in range(3):
        claims: Any = check.verify(token)
        assert (claims["scope"], claims["roles"], claims["org"]) == ("read", ["reader"], {"id": 1})
        claims["scope"] = "admin"
        claims["roles"].append("admin")
        claims["org"]["id"] = 2


def test_a_flood_of_good_tokens_does_not_grow_it(cache: JwksCache, key: SigningKey) -> None:
    check = remembering(cache, size=5)
    tokens = [good(key) for _ in range(20)]
    for token in tokens:
        check.verify(token)
    assert check._decisions is not None
    assert len(check._decisions) == 5
    signatures = Signatures(check)
    check.verify(tokens[-1])
    check.verify(tokens[0])
    assert signatures.checked == 1


def test_no_token_is_kept(cache: JwksCache, key: SigningKey) -> None:
    check = remembering(cache)
    token = good(key)
    check.verify(token)
    assert check._decisions is not None
    kept = repr(list(check._decisions._decisions.items()))
    assert token.split(".")[2] not in kept
    assert all(len(name) == 32 for name in check._decisions._decisions)


def test_metrics_tell_remembered_ones_apart(make_cache: MakeCache, endpoint: Endpoint, key: SigningKey) -> None:
    instruments = Instruments()
    check = remembering(make_cache(endpoint), instruments=instruments)
    token = good(key)
    for _ in range(3):
        check.verify(token)
    text = generate_latest(instruments.registry).decode()
    assert (
        f'jwt_verification_duration_seconds_count{{alg="ES256",cached="true",issuer="{ISSUER}",result="success"}} 2.0'
        in text
    )
    assert (
        f'jwt_verification_duration_seconds_count{{alg="ES256",cached="false",issuer="{ISSUER}",result="success"}} 1.0'
        in text
    )
    assert 'result="success"} 3.0' in text


def test_a_negative_size_is_refused(cache: JwksCache) -> None:
    with pytest.raises(ValueError, match="decisions must be 0 or more"):
        remembering(cache, size=-1)


def test_forgetting_what_is_not_there_is_no_error() -> None:
    decisions = DecisionCache(1)
    decisions.drop("never seen")
    assert decisions.find("never seen") is None
