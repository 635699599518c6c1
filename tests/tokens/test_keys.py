"""Keys are made, read and published as the RFCs say, and never leak."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jwtdrill.errors import BadInputError
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
ASYMMETRIC = [alg for alg in Algorithm if not alg.symmetric]


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_the_published_key_verifies_and_holds_nothing_private(
    keys: dict[Algorithm, SigningKey], alg: Algorithm
) -> None:
    key = keys[alg]
    token = jwt.encode({"a": 1}, key.private, alg, headers={"kid": key.kid})
    jwk = key.public_jwk()
    assert jwt.decode(token, jwt.PyJWK(jwk).key, [alg]) == {"a": 1}
    assert not PRIVATE_MEMBERS & set(jwk)
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == (key.kid, alg, "sig")


def test_a_symmetric_key_is_never_published(keys: dict[Algorithm, SigningKey]) -> None:
    with pytest.raises(TypeError):
        jwks(keys.values())


def test_the_kid_is_the_thumbprint_of_rfc_7638() -> None:
    """The example of RFC 7638 section 3.1 needs its own modulus; PyJWT's own thumbprint stands in for it."""
    key = SigningKey.generate(Algorithm.ES256)
    jwk = key.public_jwk()
    wanted = json.dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True)
    import base64
    import hashlib

    assert key.kid == base64.urlsafe_b64encode(hashlib.sha256(wanted.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_pem_there_and_back(keys: dict[Algorithm, SigningKey], alg: Algorithm) -> None:
    key = keys[alg]
    assert SigningKey.from_pem(key.pem(), alg).kid == key.kid


def test_a_key_that_does_not_fit_its_algorithm_is_refused(keys: dict[Algorithm, SigningKey]) -> None:
    with pytest.raises(BadInputError, match="no key for RS256"):
        SigningKey.from_pem(keys[Algorithm.ES256].pem(), Algorithm.RS256)
    with pytest.raises(BadInputError, match="not a private key"):
        SigningKey.from_pem(b"garbage", Algorithm.RS256)
    p384 = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(BadInputError, match="secp256r1"):
        SigningKey.from_pem(p384, Algorithm.ES256)


def test_no_secret_in_a_repr(keys: dict[Algorithm, SigningKey]) -> None:
    for key in keys.values():
        assert "private" not in repr(key)
        assert repr(key) == f"SigningKey(kid={key.kid!r}, alg={key.alg!r})"
