"""Each case has one defect, which a correct verifier names; a mix is read or refused."""

import base64

import jwt
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.tokens.cases import CASES, Material, case, parse_mix
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter

NOW = 1_700_000_000


@pytest.fixture(params=[Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA])
def material(request: pytest.FixtureRequest, keys: dict[Algorithm, SigningKey]) -> Material:
    minter = Minter(keys[request.param])
    claims = Claims.lasting(300, now=NOW, iss="https://i", sub="s", aud="a", scope="x")
    return Material(minter.mint(claims), minter, NOW)


def parts(token: str) -> tuple[dict, dict, bytes]:
    header, _, signature = token.split(".")
    return (
        jwt.get_unverified_header(token) if header else {},
        jwt.decode(token, options={"verify_signature": False}),
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
    )


def test_an_altered_claim_is_the_only_difference(material: Material) -> None:
    _, good, _ = parts(material.genuine)
    for name, changed in {
        "expired": {"exp", "iat", "nbf"},
        "not_yet_valid": {"exp", "nbf"},
        "wrong_audience": {"aud"},
    }.items():
        header, claims, _ = parts(CASES[name].forge(material))
        assert {key for key in good if good[key] != claims[key]} == changed
        assert header["kid"] == material.signer.key.kid


def test_a_forged_signature_differs_after_decoding(material: Material) -> None:
    """Changing the last character may change spare bits alone, which many decoders ignore."""
    forged = CASES["bad_signature"].forge(material)
    assert parts(forged)[2] != parts(material.genuine)[2]
    assert forged.rpartition(".")[0] == material.genuine.rpartition(".")[0]


def test_alg_none_has_no_signature_and_the_genuine_claims(material: Material) -> None:
    forged = CASES["alg_none"].forge(material)
    assert forged.endswith(".")
    assert parts(forged)[1] == parts(material.genuine)[1]


def test_a_mix_is_read_with_weights() -> None:
    assert parse_mix("valid=9, expired=1,alg_none") == {case("valid"): 9, case("expired"): 1, case("alg_none"): 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vlaid", "unknown case 'vlaid'"),
        ("valid=0", "above 0"),
        ("valid=x", "whole number"),
        ("", "no case"),
        (",", "no case"),
    ],
)
def test_a_wrong_mix_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        parse_mix(text)
