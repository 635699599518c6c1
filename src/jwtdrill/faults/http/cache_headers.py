"""The document is right, and the headers say to keep it for ever, or never to keep it."""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.http.base import UNTIL_FETCHED, HttpFault
from jwtdrill.faults.route import Answer, Exchange

_YEAR = 31_536_000


@dataclass
class CacheHeaders(HttpFault):
    """`max_age`: seconds for which it may be kept (RFC 9111 section 5.2.2), 0: it may not be stored."""

    max_age: Annotated[int, Field(ge=0, le=10 * _YEAR)] = _YEAR

    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer, with those headers."""
        says = f"public, max-age={self.max_age}, immutable" if self.max_age else "no-store, max-age=0"
        answer = (await exchange.document()).with_headers((b"cache-control", says.encode()), (b"age", b"0"))
        kept = [(name, value) for name, value in answer.headers if name.lower() not in (b"expires", b"age")]
        return Answer(answer.status, kept, answer.body)
