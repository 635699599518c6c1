"""The certificate that a server shows, as far as it is trusted."""

import datetime
import socket
import ssl
from dataclasses import dataclass

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Until when it is good, and by which version of TLS it came."""

    expires: datetime.datetime
    version: str


def certificate(host: str, port: int, tls: ssl.SSLContext) -> Certificate:
    """That of the server. Raises OSError or ssl.SSLError where no trusted connection comes about."""
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
        tls.wrap_socket(plain, server_hostname=host) as secured,
    ):
        shown = secured.getpeercert() or {}
        seconds = ssl.cert_time_to_seconds(str(shown["notAfter"]))
        return Certificate(datetime.datetime.fromtimestamp(seconds, datetime.UTC), secured.version() or "TLS")
