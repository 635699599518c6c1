"""Digests by which keys, tokens and certificates are named (RFC 7638, RFC 9449, RFC 8705)."""

import hashlib
import json
from collections.abc import Mapping

from jwt.utils import base64url_encode

_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The digest of a public key's required members, in base64url. Raises KeyError for a key of another type."""
    members = {name: jwk[name] for name in _REQUIRED[jwk["kty"]]}
    return _digest(json.dumps(members, separators=(",", ":"), sort_keys=True).encode("ascii", "replace"))


def access_token_hash(token: str) -> str:
    """What a proof says of the token that it comes with (RFC 9449 section 4.2)."""
    return _digest(token.encode("ascii", "replace"))


def certificate_thumbprint(der: bytes) -> str:
    """What a token says of the certificate that it is bound to (RFC 8705 section 3.1)."""
    return _digest(der)


def _digest(content: bytes) -> str:
    return base64url_encode(hashlib.sha256(content).digest()).decode()
