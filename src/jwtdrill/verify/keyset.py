"""Reads a JWK set (RFC 7517) into keys that verify, one by one, so that a bad key does not lose the others."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import AllowedPublicKeys

from jwtdrill.catalog.exposition import UNKNOWN

# What a key without `alg` may verify, by type and curve (RFC 7518 section 3.1, RFC 8037). Never a MAC: a
# symmetric key has no place in a published set.
_ALGORITHMS = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
_PUBLIC_MEMBERS = ("kty", "crv", "n", "e", "x", "y")
_LONGEST_KID = 256
_LEAST_RSA_BITS = 2048  # RFC 7518 section 3.3
ASYMMETRIC_ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that may verify. `fingerprint` tells two keys of the same kid apart."""

    kid: str | None
    algorithms: frozenset[str]
    key: AllowedPublicKeys
    fingerprint: str

    @property
    def alg_label(self) -> str:
        """Its algorithm as a metric label: the one that it is bound to, else unknown."""
        return next(iter(self.algorithms)) if len(self.algorithms) == 1 else UNKNOWN


class KeySetError(ValueError):
    """The document is no usable JWK set; the message says why, and quotes nothing of it."""


def parse_keyset(document: bytes) -> tuple[TrustedKey, ...]:
    """The usable keys of the set; keys that are malformed, unsupported or not for signatures are left out.

    Raises KeySetError when it is no JWK set or holds no usable key.
    """
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        raise KeySetError("it is not JSON") from None
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise KeySetError("it is JSON, but not a JWK set: there is no list `keys`")
    keys = tuple(key for entry in entries if (key := parse_key(entry)) is not None)
    if not keys:
        raise KeySetError(f"it holds {len(entries)} keys and none that can be used")
    return keys


def select(keys: Iterable[TrustedKey], kid: str | None, alg: str) -> TrustedKey | None:
    """The key for a token: of that kid and algorithm; without kid, the only key of the algorithm."""
    fitting = [key for key in keys if alg in key.algorithms and (kid is None or key.kid == kid)]
    if kid is None and len(fitting) != 1:
        return None
    return fitting[0] if fitting else None


def parse_key(entry: Any) -> TrustedKey | None:
    """The key that a JWK stands for; None for one that cannot verify signatures."""
    if not isinstance(entry, dict):
        return None
    kid, use, operations = entry.get("kid"), entry.get("use"), entry.get("key_ops")
    if not _proper_kid(kid) or use not in (None, "sig"):
        return None
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    kty, crv = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or not isinstance(crv, str | None) or (kty, crv) not in _ALGORITHMS:
        return None
    possible = _ALGORITHMS[kty, crv]
    alg = entry.get("alg", possible[0])
    if alg not in possible:
        return None
    public = {name: entry[name] for name in _PUBLIC_MEMBERS if name in entry}  # a private part is not ours
    try:
        key = jwt.PyJWK(public, alg).key
    except Exception:  # noqa: BLE001 - foreign input: whatever a library says of it, this key is unusable
        return None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        return None
    return TrustedKey(
        kid=kid,
        algorithms=frozenset((alg,) if "alg" in entry else possible),
        key=key,
        fingerprint=hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest(),
    )


def _proper_kid(kid: Any) -> bool:
    """A kid becomes a metric label: text that can be encoded, of a bounded length."""
    if kid is None:
        return True
    return isinstance(kid, str) and len(kid) <= _LONGEST_KID and kid.encode("utf-8", "ignore").decode() == kid
