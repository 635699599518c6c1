"""ASGI middleware that lets in only requests with a good bearer token (RFC 6750)."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import UNKNOWN, Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.verifier import Verifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_STATUS = {Reason.KEY_UNAVAILABLE: 503, Reason.INSUFFICIENT_SCOPE: 403}


class BearerMiddleware:
    """Verifies the token of each HTTP request to `app`; its claims are in `scope["state"]["jwt_claims"]`.

    routes: path to the template that metrics name it by; other paths pass unguarded. clients: the values of
    client_id that metrics may name.
    """

    def __init__(
        self,
        app: Application,
        verifier: Verifier,
        *,
        routes: dict[str, str],
        clients: Iterable[str] = (),
        instruments: Instruments | None = None,
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._routes = routes
        self._clients = frozenset(clients)
        self._requests = (instruments or Instruments()).counter(metrics.PROTECTED_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        route = self._routes.get(scope["path"]) if scope["type"] in ("http", "websocket") else None
        if route is None:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":  # no browser can send a token with one
            await send({"type": "websocket.close", "code": 1008, "reason": "not for websockets"})
            return
        token = _bearer_token(scope["headers"])
        if token is None:
            self._requests.labels(route, "401", UNKNOWN).inc()
            await _answer(send, 401, 'Bearer realm="jwtdrill"', {"error": "no_token"})
            return
        try:
            claims = await self._verifier.averify(token)
        except VerificationError as refusal:
            status = _STATUS.get(refusal.reason, 401)
            self._requests.labels(route, str(status), UNKNOWN).inc()
            error = "insufficient_scope" if refusal.reason is Reason.INSUFFICIENT_SCOPE else "invalid_token"
            challenge = f'Bearer error="{error}", error_description="{refusal.reason}"'
            await _answer(send, status, challenge, {"error": error, "reason": refusal.reason})
            return
        client = claims.get("client_id")
        label = client if isinstance(client, str) and client in self._clients else UNKNOWN
        scope.setdefault("state", {})["jwt_claims"] = claims

        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._requests.labels(route, str(message["status"]), label).inc()
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except BaseException:
            if not started:
                self._requests.labels(route, "500", label).inc()
            raise


def _bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one bearer token of the request; None where there is none, or more than one."""
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        return None
    return token.strip().decode("ascii") or None


async def _answer(send: Send, status: int, challenge: str, content: dict[str, str]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (401, 403):
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
