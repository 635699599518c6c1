"""The plain forms of a request and of what came back, and the readings that all flows share."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jwtdrill.catalog.verdicts import Verdict

# The error of a response in whose stead a connection with mutual TLS was ended: by an alert about the certificate, or,
# since who sends one may close before it has been read, without a word.
HUNG_UP = "connection ended"


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. tls: in place of the usual trust, where a certificate of the client's is to be shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; header names in lower case. `status` 0 and `error`: nothing came, and why."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    error: str | None = None

    def json(self) -> Any:
        """The body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the target did, and a few words on why it counts so."""

    verdict: Verdict
    remark: str = ""


def throttled(response: Response) -> Judgement | None:
    """Whether the target asked for patience: 429, or 503 with Retry-After (RFC 9110 section 15.6.4)."""
    if response.status == 429 or (response.status == 503 and "retry-after" in response.headers):
        return Judgement(Verdict.THROTTLED, f"status {response.status}")
    return None


def errored(response: Response) -> Judgement:
    """What is neither an acceptance nor a refusal."""
    return Judgement(Verdict.ERRORED, response.error or f"status {response.status}")
