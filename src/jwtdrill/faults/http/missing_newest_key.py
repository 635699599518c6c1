"""The key set lacks the key that appeared last: a replica or a CDN that lags behind a rotation."""

import json

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.proxy import Answer, Exchange


@dataclass(frozen=True)
class MissingNewestKey(HttpFault):
    """No parameters."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's set without its newest key."""
        answer = await exchange.upstream()
        try:
            keys = json.loads(answer.body)["keys"]
            newest = exchange.route.newest([key["kid"] for key in keys])
            body = json.dumps({"keys": [key for key in keys if key["kid"] != newest]}).encode()
        except (ValueError, KeyError, TypeError):
            return answer
        return Answer(answer.status, answer.headers, body)
