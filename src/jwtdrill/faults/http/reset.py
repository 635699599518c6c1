"""The connection is reset in the middle of the body."""

from dataclasses import replace

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault, Share
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Reset(HttpFault):
    """`after`: the share of the body that comes before."""

    after: Share = 0.5

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer, as far as it comes."""
        answer = await exchange.document()
        return replace(answer, ends_after=int(len(answer.body) * min(self.after, 0.99)))
