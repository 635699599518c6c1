"""The endpoint answers 200 with bytes that are no JSON."""

import random
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Garbage(HttpFault):
    """`size`: bytes of body."""

    size: Annotated[int, Field(gt=0, le=1024 * 1024)] = 2048

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """Noise that begins like no JSON value does."""
        noise = b"\x00" + random.randbytes(self.size - 1)  # noqa: S311 - not a secret
        return Answer(200, [(b"content-type", b"application/json"), (b"cache-control", b"max-age=300")], noise)
