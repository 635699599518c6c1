"""Revocation (RFC 7009). The answer is 200 whatever the token was: only its later use shows what came of it."""

from dataclasses import dataclass
from typing import ClassVar

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.flows.token import ClientIdentity


@dataclass(frozen=True, slots=True)
class Revocation:
    """Revokes as that client."""

    identity: ClientIdentity
    name: ClassVar[str] = "revoke"

    def request(self, token: str, hint: str = "access_token", now: float | None = None) -> Request:
        """The request (section 2.1)."""
        return self.identity.authenticated(
            {"token": token, "token_type_hint": hint}, now, endpoint=self.identity.endpoints.revocation
        )

    def judge(self, response: Response) -> Judgement:
        """Accepted means that the request was taken, no more."""
        if response.status == 200:
            return Judgement(Verdict.ACCEPTED)
        return throttled(response) or errored(response)
