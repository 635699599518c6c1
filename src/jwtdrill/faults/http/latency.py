"""The endpoint answers rightly, but late."""

import asyncio
import random
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Latency(HttpFault):
    """`seconds` of delay, give or take up to `spread`."""

    seconds: Annotated[float, Field(gt=0, le=300)] = 2.0
    spread: Annotated[float, Field(ge=0, le=300)] = 0.0

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer after the delay, or as soon as the fault is over."""
        delay = max(0.0, self.seconds + random.uniform(-self.spread, self.spread))  # noqa: S311 - not a secret
        try:
            async with asyncio.timeout(delay):
                await exchange.route.fault_over.wait()
        except TimeoutError:
            pass
        return await exchange.upstream()
