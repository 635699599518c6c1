"""Certificates that we make ourselves: an authority's, those it gives out, and those that nobody vouches for."""

import datetime
import ipaddress
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_LASTS = 90 * _DAY
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Certified:
    """A key and the certificate for it."""

    key: Key = field(repr=False)
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """Certificate and private key, as a client or a server reads them from one file."""
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificate_pem + private

    @property
    def certificate_pem(self) -> bytes:
        """What everybody may read."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """What its thumbprint is made of (RFC 8705 section 3.1)."""
        return self.certificate.public_bytes(Encoding.DER)


def self_signed(
    name: str, key: Key | None = None, *, authority: bool = False, expires: datetime.datetime | None = None
) -> Certified:
    """One that vouches for itself; an authority may vouch for others."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    return _made(name, key, None, authority=authority, expires=expires)


def issued(name: str, by: Certified, key: Key | None = None, *, expires: datetime.datetime | None = None) -> Certified:
    """One that an authority vouches for."""
    return _made(name, key or ec.generate_private_key(ec.SECP256R1()), by, expires=expires)


def read_certified(pem: bytes) -> Certified:
    """A certificate with its key, from one PEM. Raises ValueError."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither RSA nor EC")  # noqa: TRY004 - of the content, not of the caller
    return Certified(key, x509.load_pem_x509_certificate(pem))


def _made(
    name: str,
    key: Key,
    by: Certified | None,
    *,
    authority: bool = False,
    expires: datetime.datetime | None = None,
) -> Certified:
    """For the address or the name; with the key of whoever vouches."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(expires or now + _LASTS)
        .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(by.key if by is not None else key, hashes.SHA256())
    )
    return Certified(key, made)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
