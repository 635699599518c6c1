"""Reads what a token says of itself, without believing it."""

import base64
import json
from functools import lru_cache
from typing import Any

_EXACT = 2**53  # the first whole second that not every JSON reader holds exactly


def kid_of(token: str) -> str:
    """The kid that its header names; empty for a token that is no JWT or names none."""
    return _kid(token.partition(".")[0])


def claims_of(token: str) -> dict[str, Any] | None:
    """Its claims; None where there are none that can be read."""
    return json_object(token.split(".", 2)[1]) if token.count(".") == 2 else None


def media_type(typ: str) -> str:
    """A header's typ in the short form in which types are compared (RFC 7515 section 4.1.9)."""
    return typ.lower().removeprefix("application/")


def numeric_date(value: object) -> float | None:
    """The seconds of a NumericDate (RFC 7519 section 2); None for what is none, and from where floats are not exact."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _EXACT:
        return None
    return value


@lru_cache(maxsize=1024)
def _kid(header: str) -> str:
    """Tokens of one key have one header: its parse is remembered."""
    kid = (json_object(header) or {}).get("kid")
    return kid if isinstance(kid, str) else ""


def json_object(segment: str) -> dict[str, Any] | None:
    """The JSON object that a base64url segment holds; None where it holds none."""
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
