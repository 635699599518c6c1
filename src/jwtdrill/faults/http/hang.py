"""The endpoint takes the request and never answers."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Hang(HttpFault):
    """Until the fault is over; then the connection is dropped."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """Nothing."""
        await exchange.route.fault_over.wait()
        return None
