"""From a target file to an attack: which grounds there are."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import httpx

from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.revocation import Revocation
from jwtdrill.flows.sts import AssumeRole
from jwtdrill.flows.token import JWT_BEARER, ClientCredentials, ClientIdentity, JwtBearer, signer_of
from jwtdrill.probe.attack import Assault, Plan, attack
from jwtdrill.probe.genuine import Allowance, TokenSource
from jwtdrill.probe.grounds import (
    AsClient,
    AsGrant,
    AtIntrospection,
    AtResource,
    AtSts,
    CertificateAtTokenEndpoint,
    Ground,
    ProofAtResource,
    ProofAtTokenEndpoint,
    Revoke,
    Tokens,
)
from jwtdrill.probe.presenter import presenter_of
from jwtdrill.probe.sending import send
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.documents import fetch
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Client, Target
from jwtdrill.tokens.cases import Case
from jwtdrill.verify.fetch import max_age_of

_TIMEOUT = 10.0
_UNSAID = 300.0  # seconds that verifiers cache a key set which does not say for how long


async def attack_target(
    target: Target,
    cases: Sequence[Case],
    tick: Callable[[str], None],
    wait: float = 0.0,
    remove_key: Callable[[], AbstractContextManager[object]] | None = None,
) -> Assault:
    """Attack everything that the target file names. Raises BadInputError, MissingPartError before anything is sent."""
    endpoints = discover(target)
    async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
        allowance = Allowance(target.limits.tokens)
        found = _Grounds(target, endpoints, client, allowance)
        await found.first_token()
        grounds = found.all()
        plan = Plan(grounds, cases, target.limits.rate, allowance, wait, remove_key=remove_key)
        if remove_key is not None:
            lasts = max_age_of(fetch(endpoints.jwks, tls_context(target)).headers)
            plan.keys_last = _UNSAID if lasts is None else lasts
        return await attack(plan, client, tick)


class _Grounds:
    """Those of the first client, of the first whose tokens are bound to a key, and of the first with a certificate."""

    def __init__(self, target: Target, endpoints: Endpoints, client: httpx.AsyncClient, allowance: Allowance) -> None:
        self._target = target
        self._endpoints = endpoints
        self._client = client
        self._allowance = allowance
        self._signer = signer_of(target)
        self._keys = require_keys(target, endpoints)
        self._clients = [described for described in target.first_clients if described.issuer is None]

    async def first_token(self) -> None:
        """See that there is one, before anything else is sent. Raises MissingPartError, BadInputError."""
        plain = next((described for described in self._clients if not described.dpop), None)
        if plain is not None or not self._clients:
            await self._tokens(self._identity(plain) if plain is not None else None)(False)

    def all(self) -> list[Ground]:
        """In the order in which they are attacked. Raises BadInputError for a credential that cannot be read."""
        plain = next((described for described in self._clients if not described.dpop), None)
        return [
            *self._resources(plain),
            *self._token_service(plain),
            *self._issuer(plain),
            *self._proved(),
            *self._certified(plain),
        ]

    def _resources(self, plain: Client | None) -> Iterator[Ground]:
        """Those that take a token alone, if we have such tokens."""
        if plain is None and self._clients:
            return  # all tokens that we get are bound to a key
        if plain is None or plain.certificate is None:
            identity = self._identity(plain) if plain is not None else None
            tokens, revoke = self._tokens(identity), self._revoking(identity)
            for resource in self._target.resources_for(None):
                yield AtResource(Call(resource), tokens, self._signer, self._keys, revoke=revoke)

    def _token_service(self, plain: Client | None) -> Iterator[Ground]:
        sts = self._target.sts
        if sts is None or (plain is None and self._clients and sts.token is None):
            return
        tokens = self._tokens(self._identity(plain) if plain is not None else None)
        if sts.token is not None:
            ready = sts.token

            async def tokens(fresh: bool) -> str:  # noqa: ARG001 - there is one alone
                return self._target.read_token(ready)

        yield AtSts(AssumeRole(sts), tokens, self._signer if sts.token is None else None, self._keys)

    def _issuer(self, plain: Client | None) -> Iterator[Ground]:
        if plain is None:
            return
        identity = self._identity(plain)
        if self._endpoints.introspection:
            tokens, revoke = self._tokens(identity), self._revoking(identity)
            yield AtIntrospection(Introspection(identity), tokens, self._signer, self._keys, revoke)
        if plain.signs:
            yield AsClient(ClientCredentials(identity))
        if plain.signs and plain.may(JwtBearer.name) and self._endpoints.offers(JWT_BEARER):
            yield AsGrant(JwtBearer(identity))

    def _proved(self) -> Iterator[Ground]:
        for described in [described for described in self._clients if described.dpop][:1]:
            identity, prover = self._identity(described), Prover()
            yield ProofAtTokenEndpoint(ClientCredentials(identity), prover)
            tokens = self._tokens(identity, prover)
            for resource in self._target.resources_for(described):
                if resource.dpop:
                    yield ProofAtResource(Call(resource, identity.tls), tokens, prover)

    def _certified(self, plain: Client | None) -> Iterator[Ground]:
        """What wants a certificate, and all else if the tokens that we have are bound to one."""
        found = presenter_of(self._target, self._clients)
        if found is None:
            return
        described, presenter = found
        identity = self._identity(described)
        tokens, revoke = self._tokens(identity), self._revoking(identity)
        for resource in self._target.places:
            if resource.mtls or described is plain:
                yield AtResource(Call(resource), tokens, self._signer, self._keys, presenter, revoke)
        if described.auth == "tls":
            yield CertificateAtTokenEndpoint(ClientCredentials(identity), presenter)

    def _identity(self, described: Client) -> ClientIdentity:
        return ClientIdentity(described, self._target, self._endpoints)

    def _tokens(self, identity: ClientIdentity | None, prover: Prover | None = None) -> Tokens:
        source = TokenSource(self._target, self._endpoints, identity, prover, self._allowance)

        async def tokens(fresh: bool) -> str:
            return await source.token(self._client, fresh=fresh)

        return tokens

    def _revoking(self, identity: ClientIdentity | None) -> Revoke | None:
        """By whom the token was given to: another client may not (RFC 7009 section 2.1)."""
        if not self._endpoints.revocation or identity is None:
            return None
        revocation = Revocation(identity)

        async def revoke(token: str) -> Judgement:
            return revocation.judge(await send(self._client, revocation.request(token)))

        return revoke
