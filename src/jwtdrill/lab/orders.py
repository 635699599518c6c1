"""The service that the lab protects. By itself it lets in everybody: what guards it stands before it."""

from jwtdrill.verify.middleware import Application, Receive, Scope, Send

_BODY = b'{"orders": []}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


async def orders(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """As little as a service can do, so that verification is what is measured."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def create() -> Application:
    """The application."""
    return orders
