"""A server's certificate is read as far as it is trusted."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.target.test_documents import serving

from jwtdrill.probe.certificates import certificate

EXPIRES = datetime.datetime(2099, 5, 17, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Key and certificate for 127.0.0.1, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .add_extension(address, critical=False)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(EXPIRES)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def test_until_when_it_is_good(server: Path) -> None:
    with serving(server) as port:
        found = certificate("127.0.0.1", port, ssl.create_default_context(cafile=str(server)))
    assert found.expires == EXPIRES
    assert found.version.startswith("TLSv1.")


def test_one_that_nobody_vouches_for_or_of_another_name_is_none(server: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(server))
    with serving(server) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            certificate("127.0.0.1", port, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            certificate("localhost", port, trusting)


def test_nobody_there(server: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        certificate("127.0.0.1", 1, ssl.create_default_context())
