"""A server's certificate is read as far as it is trusted."""

import datetime
import ssl
from pathlib import Path

import pytest
from tests.target.test_documents import serving

from jwtdrill.probe.certificates import certificate
from jwtdrill.tokens.certificates import self_signed

EXPIRES = datetime.datetime(2099, 5, 17, 12, 0, 0, tzinfo=datetime.UTC)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Key and certificate for 127.0.0.1, which vouches for itself."""
    path = tmp_path / "server.pem"
    path.write_bytes(self_signed("127.0.0.1", expires=EXPIRES).pem)
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
