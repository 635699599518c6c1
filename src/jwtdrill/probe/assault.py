"""From a target file to an attack: which grounds there are."""

from collections.abc import Awaitable, Callable, Sequence

import httpx

from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.revocation import Revocation
from jwtdrill.flows.token import JWT_BEARER, ClientCredentials, ClientIdentity, JwtBearer, signer_of
from jwtdrill.probe.attack import Assault, Plan, attack
from jwtdrill.probe.genuine import Allowance, TokenSource
from jwtdrill.probe.grounds import (
    AsClient,
    AsGrant,
    AtIntrospection,
    AtResource,
    Ground,
    ProofAtResource,
    ProofAtTokenEndpoint,
)
from jwtdrill.probe.sending import send
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.cases import Case

_TIMEOUT = 10.0
Revoke = Callable[[str], Awaitable[Judgement]]


async def attack_target(
    target: Target, cases: Sequence[Case], tick: Callable[[str], None], wait: float = 0.0
) -> Assault:
    """Attack everything that the target file names. Raises BadInputError, MissingPartError before anything is sent."""
    endpoints = discover(target)
    async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
        allowance = Allowance(target.limits.tokens)
        grounds = _grounds(target, endpoints, client, allowance)
        plan = Plan(
            grounds,
            cases,
            rate=target.limits.rate,
            asks=allowance,
            wait=wait,
            revoke=_revoking(target, endpoints, client),
        )
        return await attack(plan, client, tick)


def _grounds(target: Target, endpoints: Endpoints, client: httpx.AsyncClient, allowance: Allowance) -> list[Ground]:
    """Those of the first client that has one, and those of the first whose tokens are bound to a key."""
    signer, keys = signer_of(target), require_keys(target, endpoints)
    source = TokenSource(target, endpoints, allowance=allowance)

    async def tokens(fresh: bool) -> str:
        return await source.token(client, fresh=fresh)

    grounds: list[Ground] = [AtResource(Call(resource), tokens, signer, keys) for resource in target.resource]
    for described in [entry for entry in target.client if not entry.dpop][:1]:
        identity = ClientIdentity(described, target, endpoints)
        if endpoints.introspection:
            grounds.append(AtIntrospection(Introspection(identity, endpoints.introspection), tokens, signer, keys))
        if identity.minter is not None and described.auth == "private_key_jwt":
            grounds.append(AsClient(ClientCredentials(identity)))
        if identity.minter is not None and described.may(JwtBearer.name) and endpoints.offers(JWT_BEARER):
            grounds.append(AsGrant(JwtBearer(identity)))
    for described in [entry for entry in target.client if entry.dpop][:1]:
        grounds += _proved(target, endpoints, ClientIdentity(described, target, endpoints), client, allowance)
    return grounds


def _proved(
    target: Target,
    endpoints: Endpoints,
    identity: ClientIdentity,
    client: httpx.AsyncClient,
    allowance: Allowance,
) -> list[Ground]:
    prover = Prover()
    source = TokenSource(target, endpoints, identity, prover, allowance)

    async def tokens(fresh: bool) -> str:
        return await source.token(client, fresh=fresh)

    return [
        ProofAtTokenEndpoint(ClientCredentials(identity), prover),
        *(ProofAtResource(Call(resource), tokens, prover) for resource in target.resource if resource.dpop),
    ]


def _revoking(
    target: Target, endpoints: Endpoints, client: httpx.AsyncClient
) -> Callable[[str], Awaitable[Judgement]] | None:
    if not endpoints.revocation or not target.client:
        return None
    revocation = Revocation(ClientIdentity(target.client[0], target, endpoints), endpoints.revocation)

    async def revoke(token: str) -> Judgement:
        return revocation.judge(await send(client, revocation.request(token)))

    return revoke
