"""The list of revoked tokens and keys as a verifier of the lab keeps it: fetched each second, in its own thread."""

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

import httpx

_EVERY = 1.0
_TIMEOUT = 2.0


class RevocationList:
    """Asks at that URL. While it cannot be had, the last one counts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._tokens: frozenset[str] = frozenset()
        self._keys: frozenset[str] = frozenset()
        self._never = threading.Event()
        threading.Thread(target=self._keep, daemon=True, name="revocations").start()

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token with these claims is on it."""
        return claims.get("jti") in self._tokens

    def holds_key(self, kid: str) -> bool:
        """Whether the key of that kid is on it."""
        return kid in self._keys

    def _keep(self) -> None:
        with httpx.Client(timeout=_TIMEOUT) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):  # the last one counts
                    content = client.get(self._url).json()
                    self._tokens, self._keys = frozenset(content["revoked"]), frozenset(content["keys"])
                self._never.wait(_EVERY)  # no sleep: it fails in a process whose clock may be moved
