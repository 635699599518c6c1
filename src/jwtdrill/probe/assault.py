"""From a target file to an attack: which grounds there are, and which are lacking and why."""

from collections.abc import Callable, Sequence

import httpx

from jwtdrill.flows.call import Call
from jwtdrill.flows.token import ClientCredentials, ClientIdentity, JwtBearer, signer_of
from jwtdrill.probe.attack import Assault, Plan, attack
from jwtdrill.probe.genuine import TokenSource
from jwtdrill.probe.grounds import AsClient, AsGrant, AtResource, Ground
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.cases import Case

_TIMEOUT = 10.0


async def attack_target(target: Target, cases: Sequence[Case], tick: Callable[[str], None]) -> Assault:
    """Attack everything that the target file names. Raises BadInputError, MissingPartError before anything is sent."""
    endpoints = discover(target)
    source = TokenSource(target, endpoints)
    grounds = _grounds(target, endpoints)
    async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
        plan = Plan(
            grounds,
            cases,
            token=lambda fresh: source.token(client, fresh=fresh),
            rate=target.limits.rate,
            asks=target.limits.tokens,
        )
        return await attack(plan, client, tick)


def _grounds(target: Target, endpoints: Endpoints) -> list[Ground]:
    signer, keys = signer_of(target), require_keys(target, endpoints)
    grounds: list[Ground] = [AtResource(Call(resource), signer, keys) for resource in target.resource]
    for client in target.client[:1]:
        identity = ClientIdentity(client, target, endpoints)
        if identity.minter is None:
            continue
        if client.auth == "private_key_jwt":
            grounds.append(AsClient(ClientCredentials(identity)))
        if client.grants is None or JwtBearer.name in client.grants:
            grounds.append(AsGrant(JwtBearer(identity)))
    return grounds
