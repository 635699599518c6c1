"""The endpoint takes the request and never answers."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.proxy import Answer, Exchange


@dataclass(frozen=True)
class Hang(HttpFault):
    """No parameters."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """Nothing until the fault is over, then the connection is dropped."""
        await exchange.route.fault_over.wait()
        return None
