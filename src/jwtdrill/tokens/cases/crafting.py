"""The craft that forgers share: taking a token apart, sealing it anew, keys that nobody knows."""

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from jwtdrill.tokens.cases.case import Forge, Material, NotApplicableError
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Minter

FAR = 3600  # seconds, far beyond any leeway in use, so that a case is wrong by every verifier's clock
Members = dict[str, Any]
Sign = Callable[[bytes], bytes]
ASYMMETRIC = tuple(alg for alg in Algorithm if not alg.symmetric)
_SIZES = {"ES256": 32, "ES384": 48, "ES512": 66}  # bytes of each half of a signature (RFC 7518 section 3.4)
_ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}


def encode(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a base64url segment."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact_json(members: object) -> bytes:
    """JSON as short as can be. NaN and infinite numbers stand as JavaScript writes them."""
    return json.dumps(members, separators=(",", ":")).encode()


def segments(material: Material) -> tuple[str, str, str]:
    """Header, payload and signature of the genuine token, as they stand. Raises NotApplicableError for no JWT."""
    parts = material.genuine.split(".")
    if len(parts) == 3:
        _members(parts[0])
        with suppress(ValueError):
            if decode(parts[2]):
                return parts[0], parts[1], parts[2]
    raise NotApplicableError("the target's tokens are no signed JWTs")


def header_of(material: Material) -> Members:
    """The genuine token's header."""
    return _members(segments(material)[0])


def claims_of(material: Material) -> Members:
    """The genuine token's claims."""
    return _members(segments(material)[1])


def signature_of(material: Material) -> bytes:
    """The genuine token's signature."""
    return decode(segments(material)[2])


def _members(segment: str) -> Members:
    try:
        members = json.loads(decode(segment))
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise NotApplicableError("the target's tokens are no signed JWTs")
    return members


def seal(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, sign: Sign) -> str:
    """A compact token with exactly that header and payload."""
    parts = [part if isinstance(part, bytes) else compact_json(part) for part in (header, payload)]
    signed = ".".join(map(encode, parts))
    return f"{signed}.{encode(sign(signed.encode()))}"


def signing_with(key: SigningKey) -> Sign:
    """Signs as that key does."""
    algorithm = get_default_algorithms()[key.alg]
    return lambda message: algorithm.sign(message, key.private)


def signer_of(material: Material) -> Minter:
    """The signer; a case that asks for it says that it needs one."""
    assert material.signer is not None
    return material.signer


def resealed(material: Material, header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes) -> str:
    """Signed as the issuer would."""
    return seal(header, payload, signing_with(signer_of(material).key))


def with_claims(**changes: Callable[[int, Members], Any]) -> Forge:
    """The genuine token signed anew with claims changed; each change is told the time and the claims. DROP removes."""

    def forge(material: Material) -> str:
        claims = claims_of(material)
        fresh = {name: change(material.at(), claims) for name, change in changes.items()}
        return resealed(material, own_header(material), kept(claims | fresh))

    return forge


def with_header(**changes: Any) -> Forge:
    """The genuine token signed anew with header parameters changed. DROP removes."""

    def forge(material: Material) -> str:
        return resealed(material, kept(own_header(material) | changes), claims_of(material))

    return forge


def own_header(material: Material) -> Members:
    """The genuine header, with the signer's algorithm, and its kid where a kid is named (a proof names none)."""
    header, key = header_of(material), signer_of(material).key
    return header | {"alg": key.alg.value} | ({"kid": key.kid} if "kid" in header else {})


def kept(members: Mapping[str, Any]) -> Members:
    """The members without those to drop."""
    return {name: value for name, value in members.items() if value is not DROP}


def genuine(material: Material) -> str:
    """The genuine token as it is: what is done with it makes the case."""
    return material.genuine


class _Drop:
    """The mark of a member to leave out."""


DROP = _Drop()


@cache
def stranger(alg: Algorithm, name: str = "stranger") -> SigningKey:
    """A key that no issuer has published; one for each algorithm and name."""
    if alg.rsa and alg is not Algorithm.RS256:  # an RSA key takes long to make, and fits all
        return SigningKey(f"{name}-rsa", alg, stranger(Algorithm.RS256, name).private)
    return SigningKey.generate(alg, f"{name}-{alg.value.lower()}")


def public_pem(jwk: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """A published key as PEM and as DER (SubjectPublicKeyInfo)."""
    key = public_key(jwk)
    return (
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def public_key(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    """A published key. Raises NotApplicableError for one of another kind."""
    try:
        key = jwt.PyJWK({name: value for name, value in jwk.items() if name != "alg"}, _fitting(jwk)).key
    except (jwt.PyJWTError, ValueError, KeyError):
        raise NotApplicableError("the issuer's published key is of a kind that is not read here") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise NotApplicableError("the issuer's published key is of a kind that is not read here")
    return key


def _fitting(jwk: Mapping[str, Any]) -> str:
    curves = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
    return "RS256" if jwk.get("kty") == "RSA" else curves.get(str(jwk.get("crv")), "ES256")


def published(material: Material, kty: str = "") -> Mapping[str, Any]:
    """The published key that signed the genuine token, else the first of that type. Raises NotApplicableError."""
    kid = header_of(material).get("kid") if material.genuine else None
    fitting = [jwk for jwk in material.jwks if not kty or jwk.get("kty") == kty]
    if not fitting:
        raise NotApplicableError(f"the issuer publishes no {kty or 'public'} key")
    return next((jwk for jwk in fitting if jwk.get("kid") == kid), fitting[0])


def ecdsa_halves(material: Material) -> tuple[str, int, int]:
    """Algorithm, r and s of an ECDSA signature. Raises NotApplicableError for tokens that are signed otherwise."""
    alg = str(header_of(material).get("alg"))
    if alg not in _SIZES:
        raise NotApplicableError("the target's tokens are not signed with ECDSA")
    raw, size = signature_of(material), _SIZES[alg]
    return alg, int.from_bytes(raw[:size]), int.from_bytes(raw[size:])


def ecdsa_signature(alg: str, r: int, s: int) -> bytes:
    """Both halves, each at its full length."""
    return r.to_bytes(_SIZES[alg]) + s.to_bytes(_SIZES[alg])


def ecdsa_order(alg: str) -> int:
    """The order of the curve's group. Raises NotApplicableError for P-521."""
    if alg not in _ORDERS:
        raise NotApplicableError("not made for P-521")
    return _ORDERS[alg]


def der(r: int, s: int) -> bytes:
    """An ECDSA signature as ASN.1."""
    return encode_dss_signature(r, s)
