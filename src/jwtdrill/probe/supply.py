"""What bad traffic is made from: good tokens that are renewed beside it, a signing key, published keys."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.flows.misuse import token_client
from jwtdrill.flows.token import ClientIdentity, signer_of
from jwtdrill.probe.genuine import Allowance, TokenSource
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.model import Resource, Target
from jwtdrill.tokens.held import GoodToken

AGAIN = 1.0  # seconds after which a token that could not be had is asked for again


class Supply:
    """A genuine token of one client, renewed at half its life; while the issuer gives none, the last one."""

    def __init__(self, source: TokenSource, client: httpx.AsyncClient) -> None:
        self._source = source
        self._client = client
        self._wanted = asyncio.Event()
        self._renew_after = 0.0
        self.held = GoodToken("", 0.0, 0.0)

    @property
    def token(self) -> str:
        """The newest."""
        return self.held.token

    @property
    def good(self) -> bool:
        """Whether it must still be accepted."""
        return self.held.good(time.monotonic())

    async def renew(self) -> None:
        """Get another. Raises MissingPartError, BadInputError."""
        token, half = await self._source.another(self._client)
        self.held, self._renew_after = GoodToken(token, time.monotonic(), 2 * half), half

    def want_another(self) -> None:
        """Have the token renewed soon: this one is spoilt."""
        self._wanted.set()

    async def keep(self) -> None:
        """Renew it in time. Returns when limits.tokens is used up."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._renew_after)
            self._wanted.clear()
            try:
                await self.renew()
            except MissingPartError:
                self._renew_after = AGAIN
            except BadInputError:
                return
            await asyncio.sleep(AGAIN)


class Workshop:
    """All that sources are made with. Use `open`."""

    def __init__(self, target: Target, endpoints: Endpoints, client: httpx.AsyncClient) -> None:
        self.target = target
        self.endpoints = endpoints
        self.client = client
        self.allowance = Allowance(target.limits.tokens)
        self.signer = signer_of(target)
        self.jwks: tuple[Mapping[str, Any], ...] = ()
        self.supplies: list[Supply] = []
        self._by_client: dict[str, Supply] = {}

    @classmethod
    async def open(cls, target: Target, client: httpx.AsyncClient) -> "Workshop":
        """With the issuer's endpoints found. Raises MissingPartError, BadInputError."""
        return cls(target, await asyncio.to_thread(discover, target), client)

    async def supply(self, place: Resource, *, own: bool = False) -> Supply:
        """Good tokens for that resource; own: that no other place uses. Raises MissingPartError, BadInputError."""
        described = token_client(self.target, place)
        name = place.label if own else described.id if described is not None else ""
        if name not in self._by_client:
            identity = ClientIdentity(described, self.target, self.endpoints) if described is not None else None
            source = TokenSource(self.target, self.endpoints, identity, allowance=self.allowance)
            made = self._by_client[name] = Supply(source, self.client)
            await made.renew()
            self.supplies.append(made)
        return self._by_client[name]

    async def read_keys(self) -> None:
        """Fetch the published keys. Raises MissingPartError, BadInputError."""
        self.jwks = await asyncio.to_thread(require_keys, self.target, self.endpoints)
