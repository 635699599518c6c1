"""The endpoint answers with an error status."""

from typing import Literal

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.proxy import Answer, Exchange


@dataclass(frozen=True)
class Status(HttpFault):
    """`status`: the code; `retry_after`: seconds that the answer asks for, with 429 and 503."""

    status: Literal[429, 500, 502, 503, 504] = 503
    retry_after: int | None = None

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The error."""
        headers = [(b"content-type", b"text/plain")]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return Answer(self.status, headers, b"injected by a fault drill\n")
