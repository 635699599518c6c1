"""The document is right, and far too large: who reads it whole runs out of time or of memory."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class HugeBody(HttpFault):
    """`megabytes` of white space before the document: it stays JSON."""

    megabytes: Annotated[int, Field(gt=0, le=256)] = 32

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer, made large."""
        answer = await exchange.document()
        return Answer(answer.status, answer.headers, b" " * (self.megabytes * 1024 * 1024) + answer.body)
