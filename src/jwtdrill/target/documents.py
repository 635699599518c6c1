"""Fetches small public documents from servers that may be anything: bounded in size and time, clear about trouble."""

import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from jwtdrill.errors import BadInputError, MissingPartError

_TIMEOUT = 10.0  # seconds to connect, and between two pieces
_LONGEST = 20.0  # seconds for all of it
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """What a server said; header names in lower case. received: Unix time by our clock. seconds: that it took."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float
    seconds: float

    def members(self) -> Mapping[str, Any]:
        """The JSON object that it is. Raises BadInputError for anything else."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            kind = self.headers.get("content-type", "").partition(";")[0] or "something"
            raise BadInputError(f"{self.url}: serves {kind} that is no JSON object")
        return content


def fetch(url: str, tls: ssl.SSLContext) -> Document:
    """Get it, without following redirects.

    Raises MissingPartError when nothing answers in time, BadInputError for a redirect and for what is too large.
    """
    began = time.monotonic()
    try:
        with (
            httpx.Client(verify=tls, timeout=_TIMEOUT) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as response,
        ):
            body = bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MOST_BYTES:
                    raise BadInputError(
                        f"{url}: answers with more than {MOST_BYTES // 1024} KiB: it is no such document"
                    )
                if time.monotonic() - began > _LONGEST:
                    raise MissingPartError(f"{url}: did not end its answer within {_LONGEST:.0f} s")
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise MissingPartError(f"{url}: {trouble(error, url)}") from None
    if response.is_redirect:
        place = response.headers.get("location", "nowhere").partition("?")[0]
        raise BadInputError(f"{url}: answers with a redirect to {place}: name where the document really is")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Document(url, response.status_code, headers, bytes(body), time.time(), time.monotonic() - began)


def trouble(error: BaseException, url: str) -> str:
    """Why nothing came, in words, with the mend."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for cause in reversed(chain):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
            return f"its certificate is not trusted ({why}): name its issuer as ca under [tls], or as --ca"
        if isinstance(cause, ssl.SSLError):
            return f"{host} speaks no TLS that is understood here ({cause.reason}): is it http, or another port?"
        if isinstance(cause, socket.gaierror):
            return f"the name {parts.hostname} cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return f"nobody listens at {host}: is it up?"
        if isinstance(cause, TimeoutError | httpx.TimeoutException):
            return f"{host} does not answer in time"
    text = str(chain[0])
    if "SSL" in text or "TLS" in text.upper():
        return f"{host} speaks no TLS that is understood here: is it http, or another port?"
    return f"{host} does not answer properly ({type(chain[0]).__name__}): is it up?"
