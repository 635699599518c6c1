"""Which certificate a client showed in mutual TLS (RFC 8705), as told by the edge that ended it (RFC 9440)."""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.digests import certificate_thumbprint
from jwtdrill.verify.errors import VerificationError

EDGE_HEADER = b"jwtdrill-edge"  # beside Client-Cert: what only the edge knows
CERTIFICATE_HEADER = b"client-cert"
THUMBPRINT = "x5t#S256"  # the confirmation method's name in cnf (RFC 8705 section 3.1)


class CertificateError(VerificationError):
    """The token is bound to another certificate than was shown."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.PROOF_INVALID, detail)


class ForwardedCertificates:
    """Certificates in the header Client-Cert, believed only from an edge that knows the secret: anybody can send one.

    RFC 9440 section 2.4 has the edge remove the header from what clients send.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def thumbprint(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Of the client's certificate; None where it showed none, or where the edge does not vouch for it."""
        shown = [value for name, value in headers if name == CERTIFICATE_HEADER]
        vouched = [value for name, value in headers if name == EDGE_HEADER]
        if len(shown) != 1 or len(vouched) != 1 or not hmac.compare_digest(vouched[0], self._secret):
            return None
        try:
            der = base64.b64decode(shown[0].strip(b" :"), validate=True)  # a byte sequence of RFC 8941
        except (binascii.Error, ValueError):
            return None
        return certificate_thumbprint(der)


def forwarded(der: bytes, secret: str) -> list[tuple[bytes, bytes]]:
    """The headers by which an edge tells of a certificate."""
    value = b":" + base64.b64encode(der) + b":"
    return [(CERTIFICATE_HEADER, value), (EDGE_HEADER, secret.encode())]


def check_binding(cnf: Mapping[str, Any], shown: str | None) -> None:
    """That a token bound to a certificate came with it. Raises CertificateError."""
    if THUMBPRINT not in cnf:
        return
    bound = cnf[THUMBPRINT]
    if shown is None:
        raise CertificateError("the token is bound to a certificate, and none was shown")
    if not isinstance(bound, str) or not hmac.compare_digest(bound.encode(), shown.encode()):
        raise CertificateError("the token is bound to another certificate")
