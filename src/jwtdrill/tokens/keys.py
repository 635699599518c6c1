"""Signing keys: generated, read from PEM, published as JWK (RFC 7517, RFC 7518, RFC 8037)."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from jwtdrill.errors import BadInputError
from jwtdrill.tokens.digests import thumbprint

RSA_BITS = 2048  # the least that RFC 7518 section 3.3 allows
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Algorithm(StrEnum):
    """Signature algorithms that keys are made for (RFC 7518 section 3.1, RFC 8037)."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"

    @property
    def symmetric(self) -> bool:
        """Whether who verifies can sign as well."""
        return self.startswith("HS")

    @property
    def rsa(self) -> bool:
        """Whether its keys are RSA keys."""
        return self.startswith(("RS", "PS"))


_CURVES = {Algorithm.ES256: ec.SECP256R1(), Algorithm.ES384: ec.SECP384R1(), Algorithm.ES512: ec.SECP521R1()}


@dataclass(frozen=True)
class SigningKey:
    """A key that signs. Its `repr` holds no secret."""

    kid: str
    alg: Algorithm
    private: PrivateKey | bytes = field(repr=False)

    @classmethod
    def generate(cls, alg: Algorithm, kid: str | None = None, rsa_bits: int = RSA_BITS) -> "SigningKey":
        """A new key; without a kid its RFC 7638 thumbprint is the kid."""
        private: PrivateKey | bytes
        match alg:
            case Algorithm.EDDSA:
                private = ed25519.Ed25519PrivateKey.generate()
            case _ if alg.rsa:
                private = rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
            case _ if alg.symmetric:
                private = secrets.token_bytes(int(alg[2:]) // 8)
            case _:
                private = ec.generate_private_key(_CURVES[alg])
        return cls(kid or _default_kid(alg, private), alg, private)

    @classmethod
    def from_pem(cls, pem: bytes, alg: Algorithm, kid: str | None = None) -> "SigningKey":
        """A private key from PEM. Raises BadInputError when it is none or does not fit the algorithm."""
        if alg.symmetric:
            raise BadInputError(f"{alg} is not supported for keys of a target file: use one with a public key")
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise BadInputError("not a private key in PEM without a password") from None
        fits = {
            rsa.RSAPrivateKey: alg.rsa,
            ec.EllipticCurvePrivateKey: alg in _CURVES,
            ed25519.Ed25519PrivateKey: alg is Algorithm.EDDSA,
        }
        if not any(isinstance(private, kind) and fit for kind, fit in fits.items()):
            raise BadInputError(f"the key is no key for {alg}")
        assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
        if isinstance(private, rsa.RSAPrivateKey) and private.key_size < RSA_BITS:
            raise BadInputError(
                f"an RSA key has at least {RSA_BITS} bits (RFC 7518 section 3.3), not {private.key_size}"
            )
        if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name != _CURVES[alg].name:
            raise BadInputError(f"{alg} wants a key on {_CURVES[alg].name}, not on {private.curve.name}")
        return cls(kid or _default_kid(alg, private), alg, private)

    def pem(self) -> bytes:
        """The private key as PKCS #8 PEM, for a file that only its owner may read."""
        if isinstance(self.private, bytes):
            raise TypeError("a symmetric key has no PEM")
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK. Raises TypeError for a symmetric key, which must never be published."""
        if isinstance(self.private, bytes):
            raise TypeError("a symmetric key has no public part")
        return {**_public_members(self.alg, self.private), "kid": self.kid, "alg": self.alg, "use": "sig"}


def jwks(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """The JWK set that publishes these keys."""
    return {"keys": [key.public_jwk() for key in keys]}


def _public_members(alg: Algorithm, private: PrivateKey) -> dict[str, str]:
    members: dict[str, Any] = get_default_algorithms()[alg].to_jwk(private.public_key(), as_dict=True)
    return {name: value for name, value in members.items() if name != "key_ops"}


def _default_kid(alg: Algorithm, private: PrivateKey | bytes) -> str:
    if isinstance(private, bytes):
        return secrets.token_urlsafe(12)
    return thumbprint(_public_members(alg, private))
