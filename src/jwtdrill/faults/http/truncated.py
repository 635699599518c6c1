"""The body is cut short, and its length says that this is all of it: HTTP is content, JSON is not."""

from dataclasses import replace

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault, Share
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Truncated(HttpFault):
    """`after`: the share of the body that is left."""

    after: Share = 0.5

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The beginning of the upstream's answer."""
        answer = await exchange.document()
        return replace(answer, body=answer.body[: int(len(answer.body) * min(self.after, 0.99))])
