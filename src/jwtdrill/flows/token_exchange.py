"""Token exchange (RFC 8693): a token for a token: for another audience, for somebody, or for a foreign one."""

from dataclasses import dataclass
from typing import ClassVar

from jwtdrill.flows.exchange import Request
from jwtdrill.flows.token import TokenFlow

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True, slots=True)
class TokenExchange(TokenFlow):
    """The client gives a subject's token, and an actor's where it acts for the subject (delegation, section 1.1)."""

    name: ClassVar[str] = "token_exchange"

    def request(
        self, subject: str, *, actor: str | None = None, subject_type: str = ACCESS_TOKEN, now: float | None = None
    ) -> Request:
        """The token request (section 2.1)."""
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token": subject, "subject_token_type": subject_type}
        if actor is not None:
            form |= {"actor_token": actor, "actor_token_type": ACCESS_TOKEN}
        return self.asked(form, now)


@dataclass(frozen=True, slots=True)
class Broker(TokenExchange):
    """The same with the token of a foreign issuer, which becomes one of this issuer's (federation)."""

    name: ClassVar[str] = "broker"
