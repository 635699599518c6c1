"""A JWK set is read key by key: foreign input loses bad keys and no others."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.verify.keyset import KeySetError, parse_keyset, select

GOOD = SigningKey.generate(Algorithm.ES256).public_jwk()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["kty", "crv", "kid", "use", "alg", "key_ops", "n", "e", "x", "y", "d", "k"])


@settings(deadline=None, max_examples=200)
@given(st.lists(JSON | st.dictionaries(MEMBERS, JSON, max_size=6), max_size=5))
def test_bad_neighbours_do_not_lose_a_good_key(others: list[object]) -> None:
    for place in (0, len(others)):
        entries = [*others[:place], GOOD, *others[place:]]
        assert GOOD["kid"] in [key.kid for key in parse_keyset(json.dumps({"keys": entries}).encode())]


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(MEMBERS, JSON, max_size=6))
def test_a_good_key_with_members_of_any_kind_never_raises_anything_else(changes: dict[str, object]) -> None:
    with contextlib.suppress(KeySetError):
        parse_keyset(json.dumps({"keys": [GOOD | changes]}).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": "RS256"},
        {"crv": "P-999"},
        {"x": "AAAA"},
        {"kid": 7},
        {"kid": "\ud800"},
        {"kid": "x" * 300},
        {"key_ops": ["sign"]},
    ],
)
def test_keys_that_must_not_verify_are_left_out(change: dict[str, object]) -> None:
    with pytest.raises(KeySetError, match="none that can be used"):
        parse_keyset(json.dumps({"keys": [GOOD | change]}).encode())


def test_a_short_rsa_key_is_left_out() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = SigningKey("weak", Algorithm.RS256, rsa.generate_private_key(65537, 1024))
    with pytest.raises(KeySetError):
        parse_keyset(json.dumps(jwks([weak])).encode())


def test_without_kid_only_a_lonely_key_serves(keys: dict[Algorithm, SigningKey]) -> None:
    one = parse_keyset(json.dumps(jwks([keys[Algorithm.ES256], keys[Algorithm.RS256]])).encode())
    assert select(one, None, "ES256") is not None
    two = parse_keyset(json.dumps(jwks([keys[Algorithm.ES256], SigningKey.generate(Algorithm.ES256)])).encode())
    assert select(two, None, "ES256") is None
