"""Gets one genuine token from a target's issuer, as its first client would."""

import asyncio

import httpx

from jwtdrill.errors import MissingPartError
from jwtdrill.flows.token import ClientCredentials, ClientIdentity
from jwtdrill.probe.sending import send
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target

_TIMEOUT = 5.0


def genuine_token(target: Target) -> str:
    """A fresh access token. Raises MissingPartError when the issuer gives none, BadInputError as discovery does."""
    endpoints = discover(target)
    flow = ClientCredentials(ClientIdentity(target.require_clients()[0], target, endpoints))

    async def ask() -> str:
        async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
            response = await send(client, flow.request())
        grant = flow.grant(response)
        if grant is None:
            raise MissingPartError(f"{endpoints.token}: the issuer gives no token ({flow.judge(response).remark})")
        return grant.token

    return asyncio.run(ask())
