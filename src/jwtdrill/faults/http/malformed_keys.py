"""Beside the good keys stand some that are no keys, or not for signatures: who stumbles over one loses all."""

from typing import Any

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault
from jwtdrill.faults.route import Route

# Of RFC 7517 and 7518: a type that nobody knows, members that are missing, of the wrong type or no base64url, a point
# off its curve, a key for encryption, a symmetric one.
_MALFORMED: tuple[dict[str, Any], ...] = (
    {"kty": "QUANTUM", "kid": "decoy-1"},
    {"kid": "decoy-2", "alg": "RS256", "use": "sig"},
    {"kty": "RSA", "kid": "decoy-3", "n": "!!!", "e": "AQAB", "alg": "RS256"},
    {"kty": "RSA", "kid": "decoy-4", "n": 17, "e": None},
    {"kty": "EC", "crv": "P-256", "kid": "decoy-5", "x": "AA", "y": "AA", "alg": "ES256"},
    {"kty": "EC", "crv": "P-999", "kid": "decoy-6", "x": "AA", "y": "AA"},
    {"kty": "RSA", "kid": "decoy-7", "use": "enc", "n": "sXch", "e": "AQAB"},
    {"kty": "oct", "kid": "decoy-8", "k": "AAAA", "alg": "HS256"},
    {"kty": "OKP", "crv": "Ed25519", "kid": ["decoy-9"], "x": "AA"},
)


@dataclass
class MalformedKeys(DocumentFault):
    """Before those that are right."""

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:  # noqa: ARG002
        """Decoys, then the keys."""
        return [*_MALFORMED, *keys]
