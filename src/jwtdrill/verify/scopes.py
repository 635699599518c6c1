"""Tells which tokens carry more scope than any should."""

import re
import threading
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Any

from jwtdrill.verify.identity import Recent, token_name

_MOST_TOKENS = 10_000
_MOST_SCOPES = 256  # different scope claims whose verdict is kept


def scopes_of(claims: Mapping[str, Any]) -> list[str]:
    """Granted scopes (RFC 8693 section 4.2)."""
    granted = claims.get("scope", "")
    return granted.split(" ") if isinstance(granted, str) else []


class ScopeLimit:
    """What tokens may carry at most: scopes, or patterns of them (`orders:*`). From any thread.

    Of tokens with more, the _MOST_TOKENS that were used last are remembered, so that each counts once and not at each
    use; one that comes again after so many others counts again.
    """

    def __init__(self, most: Iterable[str]) -> None:
        allowed = re.compile("|".join(map(translate, most)) or r"(?!)")
        self._seen = Recent(_MOST_TOKENS)
        self._lock = threading.Lock()

        @lru_cache(_MOST_SCOPES)
        def within(scope: str) -> bool:
            return all(allowed.match(one) for one in scope.split(" ") if one)

        self._within = within

    def newly_exceeded(self, token: str, claims: Mapping[str, Any]) -> bool:
        """Whether that verified token carries more, and is not among those that were seen to."""
        scope = claims.get("scope")
        if not isinstance(scope, str) or self._within(scope):
            return False
        name = token_name(token, claims)
        with self._lock:
            known = name in self._seen
            self._seen.keep(name)
            self._seen.move_to_end(name)
            return not known
