"""The endpoint answers with headers, and then with nothing: what waits for the body waits."""

from dataclasses import replace

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, End, Exchange


@dataclass
class HangAfterHeaders(HttpFault):
    """Until the fault is over; then the connection is dropped."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's headers."""
        return replace(await exchange.document(), ends_after=0, end=End.HANG)
