"""Gets genuine tokens from a target's issuer, as its first client would, or those that the target file has ready."""

import asyncio
import time
from dataclasses import dataclass

import httpx

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.flows.exchange import Response
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.token import ClientCredentials, ClientIdentity
from jwtdrill.probe.sending import send, send_proved
from jwtdrill.target.discovery import Endpoints, discover
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target

_TIMEOUT = 5.0
_READY_AGAIN = 20.0  # seconds after which a ready token is read again: a command may give a fresh one


@dataclass
class Allowance:
    """How many tokens may still be asked of the issuer, by all that share it: limits.tokens is one hard limit."""

    left: int

    def take(self) -> bool:
        """Whether one more may be asked for; it is counted."""
        if self.left <= 0:
            return False
        self.left -= 1
        return True


class TokenSource:
    """Good tokens of one target."""

    def __init__(
        self,
        target: Target,
        endpoints: Endpoints,
        identity: ClientIdentity | None = None,
        prover: Prover | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """identity: who asks, the first client by default. prover: to whose key tokens are to be bound.

        allowance: shared with whoever else asks the issuer; the target file's whole limit by default.

        Raises BadInputError when the target file has neither a client nor a ready token.
        """
        if target.first_client is None and not target.token:
            raise BadInputError(f"{target.path}: no [[client]] of [issuer]'s and no [[token]]: this needs good tokens")
        self._target = target
        if identity is None and target.first_client is not None:
            identity = ClientIdentity(target.first_client, target, endpoints)
        self._flow = ClientCredentials(identity) if identity is not None else None
        self._prover = prover
        self._token = ""
        self._renew_at = 0.0
        self._allowance = allowance or Allowance(target.limits.tokens)

    async def token(self, client: httpx.AsyncClient, *, fresh: bool = False) -> str:
        """One that is in its first half of life, or if asked for one that nobody else gets: it may be revoked.

        Raises MissingPartError when the issuer gives none, BadInputError beyond limits.tokens.
        """
        if fresh:
            return (await self.another(client))[0]
        if not self._token or time.monotonic() >= self._renew_at:
            self._token, lasts = await self.another(client)
            self._renew_at = time.monotonic() + lasts
        return self._token

    async def another(self, client: httpx.AsyncClient) -> tuple[str, float]:
        """Another, and for how many seconds it is in its first half of life. Raises as `token` does."""
        if self._flow is None:
            return self._target.read_token(self._target.token[0].value), _READY_AGAIN
        if not self._allowance.take():
            raise BadInputError(f"{self._target.path}: limits.tokens is used up: raise it")
        endpoint = self._flow.identity.endpoint
        response = await self._answer(client, self._flow)
        grant = self._flow.grant(response)
        if grant is None:
            raise MissingPartError(f"{endpoint}: the issuer gives no token ({self._flow.judge(response).remark})")
        return grant.token, grant.lifetime / 2

    async def _answer(self, client: httpx.AsyncClient, flow: ClientCredentials) -> Response:
        """What the token endpoint says."""
        if self._prover is None:
            return await send(client, flow.request())
        return await send_proved(client, self._prover, flow.request)


def genuine_token(target: Target) -> str:
    """A fresh access token. Raises MissingPartError when the issuer gives none, BadInputError as discovery does."""
    source = TokenSource(target, discover(target))

    async def ask() -> str:
        async with httpx.AsyncClient(verify=tls_context(target), timeout=_TIMEOUT) as client:
            return await source.token(client)

    return asyncio.run(ask())
