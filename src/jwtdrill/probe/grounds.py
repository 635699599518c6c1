"""Where tokens can be sent: resources, introspection, the token endpoint for assertions and proofs.

Each ground knows what a good token is there, how a request bears it, and what the answer means.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from jwtdrill.catalog.reasons import Reason
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import HUNG_UP, Judgement, Request, Response
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.sts import AssumeRole
from jwtdrill.flows.token import ClientCredentials, JwtBearer
from jwtdrill.probe.presenter import Presenter
from jwtdrill.tokens.cases import Carrier, Case, Material, Need, NotApplicableError, Subject
from jwtdrill.tokens.minter import Minter

TOKEN_ENDPOINT = "token endpoint"  # noqa: S105 - a name
_FOR_RESOURCES = ("audience", "scope", "carrier", "token_type", "proof_of_possession")
Tokens = Callable[[bool], Awaitable[str]]  # a good access token; told whether it must be one that nobody has used
Revoke = Callable[[str], Awaitable[Judgement]]
Keys = tuple[Mapping[str, Any], ...]


class Ground(Protocol):
    """A place that tells good tokens from bad ones."""

    @property
    def label(self) -> str:
        """Its name in reports."""

    @property
    def flow(self) -> str:
        """The flow's name in tallies."""

    @property
    def asks_issuer(self) -> bool:
        """Whether each request there counts as a token asked of the issuer."""

    @property
    def revoke(self) -> Revoke | None:
        """What revokes an access token of those that are sent there; None where nothing does."""

    @property
    def optional(self) -> bool:
        """Whether it may be that an error to a good token means that this is not offered for such tokens."""

    def takes(self, case: Case) -> bool:
        """Whether the case can be sent there at all."""

    def error_for(self, case: Case) -> str:
        """The error code that a challenge should have (RFC 6750 section 3.1, RFC 9449 section 7.1)."""

    async def material(self, listener: str, *, fresh: bool) -> Material:
        """What cases are made from; fresh: a token that nobody has used."""

    def request(self, token: str, carrier: Carrier) -> Request:
        """The request that bears the token. Raises NotApplicableError for a way that does not exist there."""

    def elsewhere(self, request: Request) -> Sequence[Request]:
        """The same at the other nodes of that place."""

    def judge(self, response: Response) -> Judgement:
        """What the answer means."""

    def wants_again(self, response: Response) -> bool:
        """Whether the same is to come again with what the answer brings."""


class _Ground:
    subject = Subject.ACCESS_TOKEN
    asks_issuer = False
    revoke: Revoke | None = None
    optional = False

    def error_for(self, case: Case) -> str:
        """As RFC 6750 section 3.1 has it."""
        if case.family == "carrier":
            return "invalid_token" if case.reason is Reason.BAD_SIGNATURE else "invalid_request"
        return "insufficient_scope" if case.reason is Reason.INSUFFICIENT_SCOPE else "invalid_token"

    def takes(self, case: Case) -> bool:
        """By the kind of token."""
        return self.subject in case.fits

    def elsewhere(self, request: Request) -> Sequence[Request]:  # noqa: ARG002 - for those who override it
        """There are no other nodes."""
        return ()

    def wants_again(self, response: Response) -> bool:  # noqa: ARG002 - for those who override it
        """Nothing is asked for again."""
        return False


@dataclass(frozen=True)
class AtResource(_Ground):
    """A protected resource. presenter: shows the certificate of the client, where tokens are bound to it."""

    call: Call
    tokens: Tokens
    signer: Minter | None
    jwks: Keys
    presenter: Presenter | None = None
    revoke: Revoke | None = None
    flow = Call.name

    def takes(self, case: Case) -> bool:
        """What is about tokens, and with a certificate what is about that."""
        return super().takes(case) or (self.presenter is not None and Subject.CERTIFICATE in case.fits)

    @property
    def label(self) -> str:
        """The resource's."""
        return self.call.resource.label

    async def material(self, listener: str, *, fresh: bool) -> Material:
        """Of a genuine access token."""
        token = await self.tokens(fresh or self.call.resource.one_time)
        material = self.call.material(token, self.signer, self.jwks, listener)
        return material if self.presenter is None else replace(material, certificate=self.presenter.der)

    def request(self, token: str, carrier: Carrier) -> Request:
        """A call."""
        request = self.call.request(token, carrier)
        return request if self.presenter is None else self.presenter.shown(request, carrier)

    def elsewhere(self, request: Request) -> Sequence[Request]:
        """At each of the resource's nodes."""
        return [replace(request, url=url) for url in self.call.resource.nodes]

    def judge(self, response: Response) -> Judgement:
        """As RFC 6750 says."""
        return _hung_up(response) or self.call.judge(response)


@dataclass(frozen=True)
class AtIntrospection(_Ground):
    """The introspection endpoint: a bad token must not be called active."""

    introspection: Introspection
    tokens: Tokens
    signer: Minter | None
    jwks: Keys
    revoke: Revoke | None = None
    flow = Introspection.name
    label = "introspection endpoint"
    optional = True

    def takes(self, case: Case) -> bool:
        """Not what only a resource can tell: whom a token is for, what it allows, who bears it (RFC 7662 section 4)."""
        return super().takes(case) and case.family not in _FOR_RESOURCES

    async def material(self, listener: str, *, fresh: bool) -> Material:
        """Of a genuine access token."""
        token = await self.tokens(fresh)
        return Material(token, self.signer, jwks=self.jwks, listener=listener, known_revoked=True)

    def request(self, token: str, carrier: Carrier) -> Request:
        """A question."""
        _only_plain(carrier)
        return self.introspection.request(token)

    def judge(self, response: Response) -> Judgement:
        """As RFC 7662 says."""
        return self.introspection.judge(response)


@dataclass(frozen=True)
class AtSts(_Ground):
    """A security token service: it must give no credentials for a bad token."""

    role: AssumeRole
    tokens: Tokens
    signer: Minter | None
    jwks: Keys
    flow = AssumeRole.name
    label = AssumeRole.label

    def takes(self, case: Case) -> bool:
        """Not what it does not ask about: scopes, types, and how a request bears the token."""
        return super().takes(case) and case.family not in ("scope", "carrier", "token_type", "lifecycle", "replay")

    async def material(self, listener: str, *, fresh: bool) -> Material:
        """Of a genuine token."""
        return Material(await self.tokens(fresh), self.signer, jwks=self.jwks, listener=listener)

    def request(self, token: str, carrier: Carrier) -> Request:
        """For credentials."""
        _only_plain(carrier)
        return self.role.request(token)

    def judge(self, response: Response) -> Judgement:
        """By the service's error codes."""
        return self.role.judge(response)


class _Asserted(_Ground):
    """The token endpoint, to which a client sends assertions: each is fresh, and refused as RFC 6749 says."""

    exchange: ClientCredentials | JwtBearer
    asks_issuer = True

    async def material(self, listener: str, *, fresh: bool) -> Material:  # noqa: ARG002 - each is fresh
        """Of a fresh assertion."""
        return self.exchange.identity.material(time.time(), listener)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6749 says."""
        return self.exchange.judge(response)


@dataclass(frozen=True)
class AsGrant(_Asserted):
    """Assertions as grants (RFC 7523 section 2.1)."""

    exchange: JwtBearer
    flow = JwtBearer.name
    label = f"{TOKEN_ENDPOINT}, assertion as grant"
    subject = Subject.ASSERTION

    def request(self, token: str, carrier: Carrier) -> Request:
        """A token request for that assertion."""
        _only_plain(carrier)
        return self.exchange.request(token)


@dataclass(frozen=True)
class AsClient(_Asserted):
    """Assertions that authenticate a client (RFC 7523 section 2.2)."""

    exchange: ClientCredentials
    flow = ClientCredentials.name
    label = f"{TOKEN_ENDPOINT}, client authentication"
    subject = Subject.CLIENT_ASSERTION

    def request(self, token: str, carrier: Carrier) -> Request:
        """A token request by a client with that assertion."""
        _only_plain(carrier)
        return self.exchange.request(assertion=token)


@dataclass(frozen=True)
class CertificateAtTokenEndpoint(_Ground):
    """The token endpoint, at which a client proves by its certificate who it is (RFC 8705 section 2)."""

    def takes(self, case: Case) -> bool:
        """What is about the certificate alone: there is no token."""
        return super().takes(case) and Need.SIGNER not in case.needs

    exchange: ClientCredentials
    presenter: Presenter
    flow = ClientCredentials.name
    label = f"{TOKEN_ENDPOINT}, certificate"
    subject = Subject.CERTIFICATE
    asks_issuer = True

    async def material(self, listener: str, *, fresh: bool) -> Material:  # noqa: ARG002 - there is nothing to forge
        """The certificate is all that there is."""
        return Material("certificate", listener=listener, certificate=self.presenter.der)

    def request(self, token: str, carrier: Carrier) -> Request:  # noqa: ARG002 - none is sent there
        """A token request."""
        return self.presenter.shown(self.exchange.request(), carrier)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6749 says."""
        return _hung_up(response) or self.exchange.judge(response)


class _Proved(_Ground):
    """What a proof comes with: a request, and a bound token where there is one."""

    subject = Subject.PROOF
    prover: Prover

    def error_for(self, case: Case) -> str:  # noqa: ARG002 - the same for all
        """As RFC 9449 section 7.1 has it."""
        return "invalid_dpop_proof"

    def _material(self, proof: str, listener: str) -> Material:
        key = self.prover.key
        return Material(proof, Minter(key, "dpop+jwt"), jwks=(key.public_jwk(),), listener=listener)


@dataclass
class ProofAtResource(_Proved):
    """A protected resource, called with a bound token and a proof (RFC 9449 section 7)."""

    call: Call
    tokens: Tokens
    prover: Prover
    flow = Call.name
    _token: str = ""

    @property
    def label(self) -> str:
        """The resource's, with the proof."""
        return f"{self.call.resource.label}, proof"

    async def material(self, listener: str, *, fresh: bool) -> Material:
        """Of a proof for a call with a genuine bound token."""
        self._token = await self.tokens(fresh or self.call.resource.one_time)
        resource = self.call.resource
        return self._material(self.prover.proof(resource.method, resource.url, self._token), listener)

    def request(self, token: str, carrier: Carrier) -> Request:
        """A call with the bound token; `token` is the proof."""
        plain = self.call.request(self._token)
        if carrier is Carrier.AS_BEARER:
            return replace(plain, headers={**plain.headers, "DPoP": token})
        return _borne(self.prover.proved(plain, self._token, token), carrier)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6750 says."""
        return self.call.judge(response)

    def wants_again(self, response: Response) -> bool:
        """With the server's nonce."""
        return self.prover.wants_again(self.call.resource.url, response)


@dataclass(frozen=True)
class ProofAtTokenEndpoint(_Proved):
    """The token endpoint, asked for a bound token (RFC 9449 section 5)."""

    exchange: ClientCredentials
    prover: Prover
    flow = ClientCredentials.name
    label = f"{TOKEN_ENDPOINT}, proof"
    asks_issuer = True

    async def material(self, listener: str, *, fresh: bool) -> Material:  # noqa: ARG002 - each is fresh
        """Of a fresh proof."""
        return self._material(self.prover.proof("POST", self.exchange.identity.endpoint), listener)

    def request(self, token: str, carrier: Carrier) -> Request:
        """A token request with that proof."""
        if carrier in (Carrier.NO_PROOF, Carrier.AS_BEARER):
            raise NotApplicableError("a token may be asked for without a proof")
        return _borne(self.prover.proved(self.exchange.request(), proof=token), carrier)

    def judge(self, response: Response) -> Judgement:
        """As RFC 6749 says; errors of RFC 9449 are refusals as well."""
        return self.exchange.judge(response)

    def wants_again(self, response: Response) -> bool:
        """With the server's nonce."""
        return self.prover.wants_again(self.exchange.identity.endpoint, response)


def _borne(request: Request, carrier: Carrier) -> Request:
    headers = dict(request.headers)
    if carrier is Carrier.NO_PROOF:
        del headers["DPoP"]
    elif carrier is Carrier.TWO_PROOFS:
        headers["dpop"] = headers["DPoP"]  # names are equal whatever their case (RFC 9110 section 5.1)
    elif carrier is not Carrier.HEADER:
        raise NotApplicableError("a proof has a header of its own")
    return replace(request, headers=headers)


def _hung_up(response: Response) -> Judgement | None:
    """Who ends the connection over a certificate has refused."""
    return Judgement(Verdict.REJECTED, "the connection is ended") if response.error == HUNG_UP else None


def _only_plain(carrier: Carrier) -> None:
    if carrier is not Carrier.HEADER:
        raise NotApplicableError("there is one way alone to send it there")
