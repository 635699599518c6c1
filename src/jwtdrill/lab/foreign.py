"""The keys of the foreign issuer whose tokens the lab's issuer exchanges: told once, or fetched as verifiers do."""

import asyncio
import json
from typing import Protocol

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.lab.settings import IssuerSettings
from jwtdrill.tokens.reading import claims_of, json_object, kid_of
from jwtdrill.verify import JwksCache
from jwtdrill.verify.keyset import TrustedKey, parse_keyset


class ForeignKeys(Protocol):
    """Where its keys come from."""

    def on_hand(self) -> tuple[TrustedKey, ...]:
        """Those that are here now; none while they cannot be had."""
        ...

    async def look_for(self, token: str) -> None:
        """Wait, for a bounded time, until the key of that token may have come, where it is not here."""
        ...


class ToldKeys:
    """Keys that never change."""

    def __init__(self, keys: tuple[TrustedKey, ...]) -> None:
        self._keys = keys

    def on_hand(self) -> tuple[TrustedKey, ...]:
        """All of them."""
        return self._keys

    async def look_for(self, token: str) -> None:
        """There is nowhere to look."""


class FetchedKeys:
    """The key set at the foreign issuer, cached."""

    def __init__(self, cache: JwksCache) -> None:
        self._cache = cache

    def on_hand(self) -> tuple[TrustedKey, ...]:
        """Those of the last good fetch, until they are too old."""
        return self._cache.on_hand().keys

    async def look_for(self, token: str) -> None:
        """Let a key that is not on hand be fetched, where the cache's allowance permits."""
        if (claims_of(token) or {}).get("iss") != self._cache.issuer:
            return
        kid, alg = kid_of(token) or None, (json_object(token.partition(".")[0]) or {}).get("alg")
        seen = self._cache.on_hand()
        while seen.find(kid, str(alg)) is None:
            refresh = self._cache.request_refresh(seen)
            if refresh is None:
                return
            await asyncio.wait([asyncio.wrap_future(refresh.done)], timeout=self._cache.policy.limits.timeout + 1)
            if not (refresh.joined and refresh.done.done()):
                return  # it was fetched for this token, or did not end in time
            seen = self._cache.on_hand()


def foreign_keys(settings: IssuerSettings, instruments: Instruments) -> ForeignKeys:
    """As the settings say; no keys where there is no foreign issuer."""
    if settings.foreign_keys is not None:
        cache = settings.foreign_keys.cache(settings.foreign_issuer, instruments)
        cache.on_hand()  # begins to fetch
        return FetchedKeys(cache)
    told = settings.foreign_jwks
    return ToldKeys(parse_keyset(json.dumps(told).encode()) if told else ())
