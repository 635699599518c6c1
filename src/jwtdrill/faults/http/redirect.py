"""The endpoint has moved, and it is said by a redirect."""

from typing import Literal

from pydantic import field_validator
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange
from jwtdrill.target.model import check_url


@dataclass
class Redirect(HttpFault):
    """`location`: where to, itself by default: a circle. Verifiers should not follow it elsewhere: keys decide."""

    status: Literal[301, 302, 303, 307, 308] = 302
    location: str | None = None

    @field_validator("location")
    @classmethod
    def _is_url(cls, location: str | None) -> str | None:
        return check_url(location) if location is not None else None

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The redirect."""
        location = self.location.encode() if self.location is not None else exchange.request.target
        return Answer(self.status, [(b"location", location)])
