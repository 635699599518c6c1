"""What a token says of itself is read, and nothing that it may be makes that fail."""

from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.tokens.reading import claims_of, kid_of


def test_kid_and_claims_are_read(keys: dict[Algorithm, SigningKey]) -> None:
    token = Minter(keys[Algorithm.ES256]).mint(Claims("i", "s", "a", 1, 2))
    assert kid_of(token) == keys[Algorithm.ES256].kid
    assert claims_of(token) == {"iss": "i", "sub": "s", "aud": "a", "exp": 2, "iat": 1}


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_whatever_it_is_reading_it_does_not_fail(text: str) -> None:
    assert isinstance(kid_of(text), str)
    assert claims_of(text) is None or isinstance(claims_of(text), dict)
