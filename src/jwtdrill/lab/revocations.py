"""The list of revoked tokens as a verifier of the lab keeps it: fetched each second, in a thread of its own."""

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
        self._revoked: frozenset[str] = frozenset()
        self._never = threading.Event()
        threading.Thread(target=self._keep, daemon=True, name="revocations").start()

    def holds(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token with these claims is on it."""
        return claims.get("jti") in self._revoked

    def _keep(self) -> None:
        with httpx.Client(timeout=_TIMEOUT) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, TypeError):  # the last one counts
                    self._revoked = frozenset(client.get(self._url).json()["revoked"])
                self._never.wait(_EVERY)  # no sleep: it fails in a process whose clock may be moved
