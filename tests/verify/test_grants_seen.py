"""Tokens with more scope than any should have, and tokens of revoked keys, are counted where they are let in."""

import time
from typing import Any

import pytest
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import VerificationError, Verifier, VerifierPolicy


class Checked:
    """A verifier and what it counted."""

    def __init__(self, cache: Any, most_scope: tuple[str, ...] | None = None, **more: Any) -> None:
        self.instruments = Instruments()
        policy = VerifierPolicy(ISSUER, AUDIENCE, algorithms=("ES256",), most_scope=most_scope)
        self.verifier = Verifier(policy, cache, instruments=self.instruments, **more)

    def counted(self, name: str) -> float | None:
        return self.instruments.registry.get_sample_value(f"jwt_{name}_total", {"issuer": ISSUER})


@pytest.mark.parametrize("decisions", [0, 10])
@pytest.mark.parametrize(
    ("scope", "excess"),
    [
        ("orders:read", 0),
        ("orders:read orders:write", 0),
        (" orders:read  ", 0),
        ("", 0),
        (None, 0),
        (["admin"], 0),
        ("orders:read admin", 1),
        ("*", 1),
        ("admin:*", 1),
        ("orders", 1),
        ("orders:read\nadmin", 0),  # one scope, if an odd one: within the pattern
        ("Orders:read", 1),
    ],
)
def test_excess_scope_is_accepted_and_counted_once_for_a_token(
    make_cache: MakeCache, endpoint: Endpoint, scope: object, excess: int, decisions: int
) -> None:
    check = Checked(make_cache(endpoint), ("orders:*",), decisions=decisions)
    assert check.counted("token_excess_scope") == 0
    token = good(endpoint.keys[0], scope=scope) if scope is not None else good(endpoint.keys[0])
    for _ in range(3):
        check.verifier.verify(token)
    assert check.counted("token_excess_scope") == excess
    check.verifier.verify(good(endpoint.keys[0], scope="root"))
    assert check.counted("token_excess_scope") == excess + 1


def test_no_scope_at_all_may_be_allowed_and_without_a_limit_nothing_is_counted(
    make_cache: MakeCache, endpoint: Endpoint
) -> None:
    none = Checked(make_cache(endpoint), ())
    none.verifier.verify(good(endpoint.keys[0], scope="a"))
    assert none.counted("token_excess_scope") == 1
    unlimited = Checked(make_cache(endpoint))
    unlimited.verifier.verify(good(endpoint.keys[0], scope="a"))
    assert unlimited.counted("token_excess_scope") is None


def test_memory_of_tokens_with_excess_scope_is_bounded(
    make_cache: MakeCache, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwtdrill.verify.scopes._MOST_TOKENS", 10)
    check = Checked(make_cache(endpoint), ())
    for number in range(50):
        check.verifier.verify(good(endpoint.keys[0], scope=f"s{number}"))
    assert check.counted("token_excess_scope") == 50
    assert check.verifier._scope_limit is not None
    assert len(check.verifier._scope_limit._seen) == 10


def test_a_refused_token_counts_for_nothing(make_cache: MakeCache, endpoint: Endpoint) -> None:
    check = Checked(make_cache(endpoint), (), revoked_keys=lambda _: True, refuse_revoked_keys=False)
    other = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud="x", scope="a")
    for token in (Minter(endpoint.keys[0]).mint(other), good(endpoint.keys[0], scope="a")[:-8]):
        with pytest.raises(VerificationError):
            check.verifier.verify(token)
    assert (check.counted("token_excess_scope"), check.counted("revoked_key_accepted")) == (0, 0)


@pytest.mark.parametrize("decisions", [0, 10])
def test_a_token_of_a_revoked_key_is_counted_at_each_use_or_refused(
    make_cache: MakeCache, endpoint: Endpoint, decisions: int
) -> None:
    revoked: set[str] = set()
    cache = make_cache(endpoint)
    observing = Checked(cache, revoked_keys=revoked.__contains__, refuse_revoked_keys=False, decisions=decisions)
    enforcing = Checked(cache, revoked_keys=revoked.__contains__, decisions=decisions)
    token = good(endpoint.keys[0])
    for check in (observing, enforcing):
        check.verifier.verify(token)
        assert check.counted("revoked_key_accepted") == 0
    revoked.add(endpoint.keys[0].kid)
    for _ in range(2):
        observing.verifier.verify(token)
        with pytest.raises(VerificationError) as refusal:
            enforcing.verifier.verify(token)
        assert refusal.value.reason is Reason.REVOKED
    assert (observing.counted("revoked_key_accepted"), enforcing.counted("revoked_key_accepted")) == (2, 0)
