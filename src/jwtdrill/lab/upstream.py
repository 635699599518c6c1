"""Passes requests that were let in on to the service behind, over HTTP."""

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from jwtdrill.verify.middleware import Receive, Scope, Send

_TIMEOUT = 10.0
_CONNECTIONS = 1000
_MOST_BYTES = 1024 * 1024
_PASSED = ("accept", "content-type")  # nothing by which a client could tell the service who it is


class Upstream:
    """The service at `url`, as an ASGI application."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, limits=httpx.Limits(max_connections=_CONNECTIONS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("the body is too large", 413)
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        url = self._url.copy_with(path=request.url.path)
        try:
            answer = await self._client.request(request.method, url, headers=headers, content=bytes(body))
        except httpx.HTTPError:
            return PlainTextResponse("the service behind does not answer", 502)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
