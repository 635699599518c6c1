"""What a token says of itself is read, and nothing that it may be makes that fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.tokens.reading import claims_of, kid_of, numeric_date


def test_kid_and_claims_are_read(keys: dict[Algorithm, SigningKey]) -> None:
    token = Minter(keys[Algorithm.ES256]).mint(Claims("i", "s", "a", 1, 2))
    assert kid_of(token) == keys[Algorithm.ES256].kid
    assert claims_of(token) == {"iss": "i", "sub": "s", "aud": "a", "exp": 2, "iat": 1}


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_whatever_it_is_reading_it_does_not_fail(text: str) -> None:
    assert isinstance(kid_of(text), str)
    assert claims_of(text) is None or isinstance(claims_of(text), dict)


@pytest.mark.parametrize("value", [0, 1.5, -1, 2**53 - 1])
def test_a_numeric_date_is_a_number_that_every_reader_holds(value: float) -> None:
    assert numeric_date(value) == value


@pytest.mark.parametrize("value", [True, "1", None, [1], float("nan"), float("inf"), 2**53, 10**400])
def test_nothing_else_is_one(value: object) -> None:
    assert numeric_date(value) is None
