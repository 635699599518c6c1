"""A client's token is used until near its expiry, and renewed without making a call wait."""

import time

import gevent
import jwt
import pytest

from jwtdrill.flows.token import Grant
from jwtdrill.load import holding
from jwtdrill.load.holding import Holding, like
from jwtdrill.tokens.cases import CASES, Material
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter


class Issuer:
    """Gives tokens that last `lifetime` seconds, after `delay`; none while `down`."""

    def __init__(self, lifetime: float = 60.0, delay: float = 0.0) -> None:
        self.lifetime, self.delay = lifetime, delay
        self.asked = 0
        self.down = False

    def __call__(self) -> Grant | None:
        self.asked += 1
        gevent.sleep(self.delay)
        return None if self.down else Grant(f"token-{self.asked}", self.lifetime)


@pytest.fixture(autouse=True)
def no_early_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first renewal comes at any time of the token's life; here at its usual one."""
    monkeypatch.setattr(holding.random, "uniform", lambda _, most: most)


def test_a_token_is_used_again_and_again() -> None:
    issuer, held = Issuer(), Holding()
    assert {held.token(issuer) for _ in range(100)} == {"token-1"}
    assert issuer.asked == 1


def test_many_who_want_the_first_token_at_once_ask_for_one() -> None:
    issuer, held = Issuer(delay=0.05), Holding()
    waiting = [gevent.spawn(held.token, issuer) for _ in range(20)]
    gevent.joinall(waiting)
    assert {greenlet.value for greenlet in waiting} == {"token-1"}
    assert issuer.asked == 1


def test_a_renewal_makes_nobody_wait() -> None:
    issuer, held = Issuer(lifetime=0.2), Holding()
    held.token(issuer)
    time.sleep(0.2 * 0.87)
    issuer.delay = 0.01
    began = time.perf_counter()
    assert held.token(issuer) == "token-1"
    assert time.perf_counter() - began < 0.005
    gevent.sleep(0.03)
    assert held.token(issuer) == "token-2"


def test_an_expired_token_is_never_handed_out() -> None:
    issuer, held = Issuer(lifetime=0.05), Holding()
    held.token(issuer)
    time.sleep(0.06)
    assert held.token(issuer) == "token-2"


def test_an_issuer_that_is_down_is_asked_now_and_then_and_the_old_token_serves_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holding, "_RETRY", 0.05)
    issuer, held = Issuer(lifetime=0.4), Holding()
    held.token(issuer)
    issuer.down = True
    time.sleep(0.35)
    for _ in range(20):
        assert held.token(issuer) == "token-1"
        gevent.sleep(0.001)
    assert issuer.asked == 2
    time.sleep(0.06)
    assert held.token(issuer) is None
    issuer.down = False
    time.sleep(0.06)
    assert held.token(issuer) is not None


def test_a_forged_token_is_made_once_for_each_genuine_one(keys: dict[Algorithm, SigningKey]) -> None:
    minter = Minter(keys[Algorithm.ES256])
    genuine = minter.mint(Claims.lasting(60, now=time.time(), iss="i", sub="s", aud="a"))
    held = Holding()
    expired = held.forged(CASES["expired"], Material(genuine, minter))
    assert held.forged(CASES["expired"], Material(genuine, minter)) is expired
    assert held.forged(CASES["alg_none"], Material(genuine, minter)) != expired


def test_minted_tokens_are_like_the_genuine_one_and_each_is_new(keys: dict[Algorithm, SigningKey]) -> None:
    key = keys[Algorithm.ES256]
    old = Claims.lasting(60, now=time.time() - 30, iss="i", sub="s", aud="a", scope="read", extra={"org": 7})
    mint = like(Minter(key).mint(old), Minter(key))
    tokens = [jwt.decode(mint(), key.private.public_key(), ["ES256"], audience="a") for _ in range(3)]  # type: ignore[union-attr]
    for claims in tokens:
        assert (claims["iss"], claims["sub"], claims["scope"], claims["org"]) == ("i", "s", "read", 7)
        assert claims["exp"] - claims["iat"] == 60
        assert claims["iat"] >= time.time() - 2
    assert len({claims["jti"] for claims in tokens}) == 3
