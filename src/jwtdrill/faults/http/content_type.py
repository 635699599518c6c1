"""The document is right, and its media type says that it is something else."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class ContentType(HttpFault):
    """`value`: of the header."""

    value: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,200}$")] = "application/octet-stream"

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer, called so."""
        return (await exchange.document()).with_headers((b"content-type", self.value.encode()))
