"""Reads what a token says of itself, without believing it."""

import base64
import json
from functools import lru_cache


def kid_of(token: str) -> str:
    """The kid that its header names; empty for a token that is no JWT or names none."""
    return _kid(token.partition(".")[0])


@lru_cache(maxsize=1024)
def _kid(header: str) -> str:
    """Tokens of one key have one header: its parse is remembered."""
    try:
        kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return kid if isinstance(kid, str) else ""
