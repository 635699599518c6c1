"""Suspects that a token has leaked: it comes from more addresses than one client has."""

import threading
from collections.abc import Mapping
from typing import Any

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.verify.addresses import ClientAddresses
from jwtdrill.verify.identity import Recent, token_name

_SUSPECTED = ("",)  # in the place of addresses: it was counted, and they need not be kept


class LeakWatch:
    """Counts tokens of one issuer that are seen from more than `most_addresses`, each once. From any thread.

    Tell it of verified tokens alone. It remembers the `most_tokens` that were used last, up to 650 bytes each: of a
    token that is used more seldom than as many others come, the addresses are forgotten, and a leak may go unseen.
    """

    def __init__(
        self,
        issuer: str,
        *,
        addresses: ClientAddresses | None = None,
        most_addresses: int = 5,
        most_tokens: int = 20_000,
        instruments: Instruments | None = None,
    ) -> None:
        if most_addresses < 1:
            raise ValueError(f"most_addresses must be 1 or more, not {most_addresses}")
        self._addresses = addresses or ClientAddresses()
        self._most = most_addresses
        self._seen = Recent(most_tokens)
        self._lock = threading.Lock()
        self._suspicions = (instruments or Instruments()).counter(metrics.TOKEN_LEAK_SUSPICION).labels(issuer)

    def saw(self, scope: Mapping[str, Any], token: str, claims: Mapping[str, Any]) -> None:
        """An ASGI request that bore that verified token. One whose address cannot be told says nothing."""
        address = self._addresses.of(scope)
        if address is None:
            return
        name = token_name(token, claims)
        with self._lock:
            before = self._seen.get(name)
            if before is None:
                self._seen.keep(name, (address,))
                return
            self._seen.move_to_end(name)
            if address in before or before is _SUSPECTED:
                return
            if len(before) < self._most:
                self._seen[name] = (*before, address)
                return
            self._seen[name] = _SUSPECTED
        self._suspicions.inc()

    def __len__(self) -> int:
        return len(self._seen)
