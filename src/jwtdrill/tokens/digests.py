"""Digests by which keys and tokens are named: a key's thumbprint (RFC 7638), a token's ath (RFC 9449)."""

import hashlib
import json
from collections.abc import Mapping

from jwt.utils import base64url_encode

_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The digest of a public key's required members, in base64url. Raises KeyError for a key of another type."""
    members = {name: jwk[name] for name in _REQUIRED[jwk["kty"]]}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return _digest(text)


def access_token_hash(token: str) -> str:
    """What a proof says of the token that it comes with (RFC 9449 section 4.2)."""
    return _digest(token)


def _digest(text: str) -> str:
    return base64url_encode(hashlib.sha256(text.encode("ascii", "replace")).digest()).decode()
