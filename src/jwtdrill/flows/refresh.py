"""Refresh (RFC 6749 section 6), with rotation: each answer brings the refresh token for the next.

RFC 9700 section 4.14: a refresh token that is used twice ends its whole family.
"""

from dataclasses import dataclass
from typing import ClassVar

from jwtdrill.flows.exchange import Request
from jwtdrill.flows.token import TokenFlow

REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Refresh(TokenFlow):
    """A new access token for a refresh token."""

    name: ClassVar[str] = "refresh"

    def request(self, token: str, now: float | None = None) -> Request:
        """The token request."""
        return self.identity.authenticated({"grant_type": REFRESH_TOKEN, "refresh_token": token}, now)
