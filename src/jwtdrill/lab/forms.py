"""Reads a form as the lab's endpoints do: bounded, and with each field once."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from jwtdrill.catalog.reasons import TokenError
from jwtdrill.lab.grants import Refused

_MOST_BYTES = 64 * 1024


async def read_form(request: Request) -> dict[str, str]:
    """The form's fields; a field that is given twice is refused (RFC 6749 section 3.2). Raises Refused."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Refused(TokenError.INVALID_REQUEST, "the form is too large", 413)
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=32)
    except ValueError:
        raise Refused(TokenError.INVALID_REQUEST, "the body is no form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused(TokenError.INVALID_REQUEST, "a field is given twice")
    return form
