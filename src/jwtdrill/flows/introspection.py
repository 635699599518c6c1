"""Introspection (RFC 7662): the issuer is asked whether a token is good, and says so with a status of 200."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.flows.token import ClientIdentity

_UNREAD = (413, 431)  # a token that is too large is not called good either


@dataclass(frozen=True, slots=True)
class Introspection:
    """Asks as that client."""

    identity: ClientIdentity
    name: ClassVar[str] = "introspect"

    def request(self, token: str, now: float | None = None) -> Request:
        """The request (section 2.1)."""
        form = {"token": token, "token_type_hint": "access_token"}
        return self.identity.authenticated(form, now, endpoint=self.identity.endpoints.introspection)

    def judge(self, response: Response) -> Judgement:
        """Accepted by `active: true`, rejected by `active: false` (section 2.2)."""
        if response.status == 200:
            content = response.json()
            active = content.get("active") if isinstance(content, Mapping) else None
            if active is True:
                return Judgement(Verdict.ACCEPTED)
            if active is False:
                return Judgement(Verdict.REJECTED, "active: false")
            return Judgement(Verdict.ERRORED, "status 200 without active")
        if response.status in _UNREAD:
            return Judgement(Verdict.REJECTED, f"status {response.status}")
        return throttled(response) or errored(response)
