"""The endpoint answers with an error status."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import TEXT, Answer, Exchange


@dataclass
class Status(HttpFault):
    """`status`: the code; `retry_after`: seconds that the answer asks for, with 429 and 503."""

    status: Literal[400, 401, 403, 404, 408, 410, 429, 500, 501, 502, 503, 504] = 503
    retry_after: Annotated[int, Field(ge=0, le=86400)] | None = None

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The error."""
        after = [] if self.retry_after is None else [(b"retry-after", str(self.retry_after).encode())]
        return Answer(self.status, [*TEXT, *after], b"injected by a fault drill\n")
