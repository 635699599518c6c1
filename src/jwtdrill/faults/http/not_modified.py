"""The endpoint says for ever that nothing has changed: 304, whatever the caller holds (RFC 9110 section 15.4.5)."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.http.base import UNTIL_FETCHED, HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class NotModified(HttpFault):
    """Also to callers that named no validator, and hold nothing."""

    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The 304, with the validator that the caller named."""
        named = dict(exchange.request.headers).get(b"if-none-match", b'"jwtdrill"')
        return Answer(304, [(b"etag", named), (b"cache-control", b"max-age=5")])
