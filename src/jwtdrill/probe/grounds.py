"""Where tokens can be sent: each resource, and the token endpoint for assertions. Each knows what a good one is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement, Request, Response
from jwtdrill.flows.token import ClientCredentials, JwtBearer
from jwtdrill.tokens.cases import Carrier, Material, Subject
from jwtdrill.tokens.minter import Minter

TOKEN_ENDPOINT = "token endpoint"  # noqa: S105 - a name


class Ground(Protocol):
    """A place that tells good tokens from bad ones."""

    @property
    def label(self) -> str:
        """Its name in reports."""

    @property
    def flow(self) -> str:
        """The flow's name in tallies."""

    @property
    def subject(self) -> Subject:
        """The kind of token that it takes."""

    @property
    def asks_issuer(self) -> bool:
        """Whether each request there counts as a token asked of the issuer."""

    @property
    def one_time(self) -> bool:
        """Whether a good token may be used there once only."""

    def material(self, genuine: str, listener: str) -> Material:
        """What cases are made from; `genuine`: an access token, which only some grounds use."""

    def request(self, token: str, carrier: Carrier) -> Request:
        """The request that bears the token."""

    def judge(self, response: Response) -> Judgement:
        """What the answer means."""


@dataclass(frozen=True)
class AtResource:
    """A protected resource."""

    call: Call
    signer: Minter | None
    jwks: tuple[Mapping[str, Any], ...]
    flow = Call.name
    subject = Subject.ACCESS_TOKEN
    asks_issuer = False

    @property
    def label(self) -> str:
        """The resource's."""
        return self.call.resource.label

    @property
    def one_time(self) -> bool:
        """As the target file says."""
        return self.call.resource.one_time

    def material(self, genuine: str, listener: str) -> Material:
        """Of the genuine access token."""
        return self.call.material(genuine, self.signer, self.jwks, listener)

    def request(self, token: str, carrier: Carrier) -> Request:
        """A call."""
        return self.call.request(token, carrier)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6750 says."""
        return self.call.judge(response)


@dataclass(frozen=True)
class AsGrant:
    """The token endpoint, to which a client sends assertions as grants (RFC 7523 section 2.1)."""

    exchange: JwtBearer
    flow = JwtBearer.name
    label = f"{TOKEN_ENDPOINT}, assertion as grant"
    subject = Subject.ASSERTION
    asks_issuer = True
    one_time = True

    def material(self, genuine: str, listener: str) -> Material:  # noqa: ARG002 - it makes its own
        """Of a fresh assertion."""
        return self.exchange.identity.material(time.time(), listener)

    def request(self, token: str, carrier: Carrier) -> Request:  # noqa: ARG002 - there is one way alone
        """A token request."""
        return self.exchange.request(token)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6749 says."""
        return self.exchange.judge(response)


@dataclass(frozen=True)
class AsClient:
    """The token endpoint, at which a client authenticates by assertion (RFC 7523 section 2.2)."""

    exchange: ClientCredentials
    flow = ClientCredentials.name
    label = f"{TOKEN_ENDPOINT}, client authentication"
    subject = Subject.CLIENT_ASSERTION
    asks_issuer = True
    one_time = True

    def material(self, genuine: str, listener: str) -> Material:  # noqa: ARG002 - it makes its own
        """Of a fresh assertion."""
        return self.exchange.identity.material(time.time(), listener)

    def request(self, token: str, carrier: Carrier) -> Request:  # noqa: ARG002 - there is one way alone
        """A token request."""
        return self.exchange.request(assertion=token)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6749 says."""
        return self.exchange.judge(response)
