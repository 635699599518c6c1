"""Tokens and clients bound to a certificate (mutual TLS, RFC 8705) that come without it, or with another."""

import base64
import hashlib
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    BY_SIGNER,
    FROM_GENUINE,
    Carrier,
    Case,
    Material,
    NotApplicableError,
    Severity,
    Subject,
)
from jwtdrill.tokens.cases.crafting import claims_of, genuine, with_claims
from jwtdrill.tokens.digests import certificate_thumbprint

_BOUND = frozenset({Subject.CERTIFICATE})
_SOURCE = "RFC 8705 section 3"
_METHOD = "x5t#S256"


def _shown(name: str, attacks: str, carrier: Carrier, severity: Severity, source: str = _SOURCE) -> Case:
    """Nothing is wrong but what is shown, or not."""
    return Case(
        f"certificate_{name}",
        "certificate",
        attacks,
        source,
        genuine,
        Reason.PROOF_INVALID,
        severity,
        _BOUND,
        FROM_GENUINE,
        carrier,
    )


def _bound(name: str, attacks: str, thumbprint: Callable[[bytes], object], severity: Severity = Severity.HIGH) -> Case:
    """A token of the issuer's that is bound otherwise."""

    def forge(material: Material) -> str:
        cnf = claims_of(material).get("cnf")
        if not isinstance(cnf, dict) or _METHOD not in cnf:
            raise NotApplicableError("the token is bound to no certificate")
        return with_claims(cnf=lambda *_: {**cnf, _METHOD: thumbprint(material.certificate)})(material)

    return Case(
        f"thumbprint_{name}",
        "certificate",
        attacks,
        "RFC 8705 section 3.1",
        forge,
        Reason.PROOF_INVALID,
        severity,
        _BOUND,
        BY_SIGNER,
    )


def _of_key(der: bytes) -> str:
    key = x509.load_der_x509_certificate(der).public_key()
    return certificate_thumbprint(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _sha1(der: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha1(der, usedforsecurity=False).digest()).rstrip(b"=").decode()


CASES = (
    _shown("absent", "no certificate is shown", Carrier.NO_CERTIFICATE, Severity.HIGH),
    _shown("of_stranger", "a certificate of the same name that nobody vouches for", Carrier.STRANGE, Severity.HIGH),
    _shown("of_another", "another client's certificate", Carrier.ANOTHERS, Severity.HIGH),
    _shown("of_same_key", "another certificate for the same key", Carrier.SAME_KEY, Severity.LOW),
    _shown(
        "in_headers",
        "no certificate, and the right one in the headers by which an edge would tell of it",
        Carrier.IN_HEADERS,
        Severity.CRITICAL,
        "RFC 9440 section 2.4",
    ),
    _bound("other", "bound to another certificate", lambda der: certificate_thumbprint(der + b"\0")),
    _bound("of_key", "bound to the digest of the key", _of_key, Severity.MEDIUM),
    _bound("hex", "the digest in hexadecimal", lambda der: hashlib.sha256(der).hexdigest(), Severity.LOW),
    _bound("sha1", "a digest by SHA-1", _sha1, Severity.LOW),
    _bound("prefix", "the beginning of the digest", lambda der: certificate_thumbprint(der)[:10]),
    _bound("empty", "an empty digest", lambda _: ""),
    _bound("null", "null for a digest", lambda _: None),
    _bound("number", "a number for a digest", lambda _: 0, Severity.LOW),
    _bound("array", "an array that holds the digest", lambda der: [certificate_thumbprint(der)], Severity.LOW),
)
