"""Tokens that cost a verifier more than they cost who sends them: large, deep, compressed, slow to derive."""

import json
import secrets
import zlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import ANY, BY_SIGNER, NOTHING, TOKENS, Case, Forge, Material, Need, Severity
from jwtdrill.tokens.cases.crafting import (
    claims_of,
    compact_json,
    encode,
    header_of,
    own_header,
    public_key,
    published,
    resealed,
    segments,
)

_KIB = 1024
_SIZES = (8, 16, 32, 64, 256, 1024)
_DEPTH = 3000  # under the 8 KiB that servers allow a header, and over what recursive parsers bear
_BOMB = 4 * _KIB * _KIB


def _large(kib: int) -> Forge:
    """Claims altered, so that it must be refused however much of it is read."""

    def forge(material: Material) -> str:
        header, _, signature = segments(material)
        payload = compact_json(claims_of(material) | {"x": "x" * (kib * _KIB * 3 // 4)})
        return f"{header}.{encode(payload)}.{signature}"

    return forge


def _deep_claims(material: Material) -> str:
    raw = compact_json(claims_of(material))[:-1] + b',"x":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"
    return resealed(material, own_header(material), raw)


def _deep_header(material: Material) -> str:
    raw = compact_json(header_of(material))[:-1] + b',"x":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"
    _, payload, signature = segments(material)
    return f"{encode(raw)}.{payload}.{signature}"


def _many_members(material: Material) -> str:
    _, payload, signature = segments(material)
    header = header_of(material) | {f"x{n}": n for n in range(400)}
    return f"{encode(compact_json(header))}.{payload}.{signature}"


def _many_dots(_: Material) -> str:
    """As CVE-2025-30204: a parser that splits without a limit makes a list of all of it."""
    return "." * 7000


def _encrypted(header: dict[str, object], key: bytes, text: bytes) -> str:
    """A JWE in compact form (RFC 7516 section 7.1) whose inner parts nobody can check before the key."""
    parts = [compact_json(header), key, secrets.token_bytes(12), text, secrets.token_bytes(16)]
    return ".".join(map(encode, parts))


def _slow_key(_: Material) -> str:
    header: dict[str, object] = {
        "alg": "PBES2-HS512+A256KW",
        "enc": "A256GCM",
        "p2s": encode(secrets.token_bytes(16)),
        "p2c": 2_147_483_647,
    }
    return _encrypted(header, secrets.token_bytes(40), b"x")


def _bomb(material: Material) -> str:
    """Encrypted for the issuer's published key, so that who decrypts with its pair inflates four megabytes."""
    content = zlib.compress(json.dumps({"x": "x" * _BOMB}).encode(), 9)[2:-4]
    return _sealed_for(material, content, {"zip": "DEF"})


def _wrapped_unsigned(material: Material) -> str:
    """An unsigned token inside an encrypted one: who decrypts must still ask who signed."""
    plain = (
        f"{encode(compact_json({**header_of(material), 'alg': 'none'}))}.{encode(compact_json(claims_of(material)))}."
    )
    return _sealed_for(material, plain.encode(), {"cty": "JWT"})


def _sealed_for(material: Material, content: bytes, more: dict[str, object]) -> str:
    jwk = published(material, "RSA")
    key = public_key(jwk)
    assert isinstance(key, rsa.RSAPublicKey)
    secret, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    wrapped = key.encrypt(secret, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    header = compact_json({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": jwk.get("kid"), **more})
    sealed = AESGCM(secret).encrypt(nonce, content, encode(header).encode())
    return ".".join(map(encode, (header, wrapped, nonce, sealed[:-16], sealed[-16:])))


def _encrypted_case(name: str, attacks: str, source: str, forge: Forge, needs: frozenset[Need]) -> Case:
    return Case(name, "encryption", attacks, source, forge, Reason.ALGORITHM_NOT_ALLOWED, Severity.HIGH, ANY, needs)


CASES = (
    *(
        Case(
            f"large_{kib}_kib",
            "size",
            f"a token of {kib} KiB",
            "RFC 8725 section 3.4; RFC 9110 section 5.4",
            _large(kib),
            Reason.TOO_LARGE if kib > 8 else Reason.BAD_SIGNATURE,
            Severity.CRITICAL,
            TOKENS if kib > 16 else ANY,
        )
        for kib in _SIZES
    ),
    Case(
        "deep_header",
        "size",
        f"a header of {_DEPTH} arrays in each other",
        "RFC 8259 section 9",
        _deep_header,
        Reason.MALFORMED,
        Severity.CRITICAL,
    ),
    Case(
        "deep_claims",
        "size",
        f"claims of {_DEPTH} arrays in each other",
        "RFC 8259 section 9",
        _deep_claims,
        Reason.MALFORMED,
        Severity.LOW,
        needs=BY_SIGNER,
        room="a parser may set a limit to depth, and may set none",
    ),
    Case(
        "many_header_members",
        "size",
        "a header of four hundred members",
        "RFC 8725 section 3.4",
        _many_members,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
    ),
    Case(
        "many_dots",
        "size",
        "seven thousand dots",
        "CVE-2025-30204",
        _many_dots,
        Reason.MALFORMED,
        Severity.HIGH,
        needs=NOTHING,
    ),
    _encrypted_case(
        "jwe_slow_key",
        "a key derivation of two billion rounds",
        "RFC 8725 section 3.15, CVE-2023-51775",
        _slow_key,
        NOTHING,
    ),
    _encrypted_case(
        "jwe_bomb",
        "four megabytes in four kilobytes",
        "RFC 8725 section 3.14, CVE-2024-21319",
        _bomb,
        frozenset({Need.JWKS}),
    ),
    _encrypted_case(
        "jwe_around_unsigned",
        "an unsigned token encrypted for the issuer's public key",
        "RFC 8725 section 2.3 and 3.3",
        _wrapped_unsigned,
        frozenset({Need.GENUINE, Need.JWKS}),
    ),
)
