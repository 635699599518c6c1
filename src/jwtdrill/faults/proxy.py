"""The fault proxy: an HTTP/1.1 reverse proxy at the level of bytes, so that a fault can break anything.

A route without a fault passes everything through. A fault answers in the route's stead, with or without asking the
upstream. An ASGI server could not refuse a connection or stop in the middle of a header, hence asyncio and h11.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import h11
import httpx

Headers = Sequence[tuple[bytes, bytes]]
_CHUNK = 64 * 1024
_UPSTREAM_SECONDS = 30.0
# Headers of one connection only (RFC 9110 section 7.6.1), and those that httpx or h11 set anew.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)


class Exchange:
    """One request on a route, to be answered by a fault."""

    def __init__(self, route: "Route", request: h11.Request, body: bytes) -> None:
        self.route = route
        self._request = request
        self._body = body

    async def upstream(self) -> Answer:
        """What the upstream answers; 502 when it does not."""
        headers = [
            (name, value)
            for name, value in self._request.headers
            if name not in _HOP_BY_HOP and name not in (b"host", b"content-length")
        ]
        url = self.route.upstream.rstrip("/") + self._request.target.decode("ascii")
        try:
            response = await self.route.client.request(
                self._request.method.decode("ascii"), url, headers=headers, content=self._body
            )
        except httpx.HTTPError:
            return Answer(502, [(b"content-type", b"text/plain")], b"the upstream does not answer")
        kept = [
            (name.lower(), value)
            for name, value in response.headers.raw
            if name.lower() not in _HOP_BY_HOP and name.lower() not in (b"content-length", b"content-encoding")
        ]
        self.route.note_keys(response.content)
        return Answer(response.status_code, kept, response.content)


class Responder(Protocol):
    """A fault that answers requests. None closes the connection without an answer."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The answer to give."""
        ...


class Route:
    """One upstream behind one listening port of loopback, with at most one fault."""

    def __init__(self, name: str, port: int, upstream: str) -> None:
        self.name = name
        self.port = port
        self.upstream = upstream
        self.client = httpx.AsyncClient(timeout=_UPSTREAM_SECONDS, follow_redirects=False)
        self.fault_over = asyncio.Event()
        self._fault: Responder | None = None
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._first_seen: dict[str, int] = {}

    async def open(self) -> None:
        """Listen; after `refuse` again. Raises OSError when the port is in use."""
        if self._server is None:
            held, self._held = self._held or _bound(self.port), None
            self._server = await asyncio.start_server(self._serve, sock=held)

    async def refuse(self) -> None:
        """Refuse connections, and drop those that are open. The port stays ours."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self._drop()
            self._held = _bound(self.port)  # bound but not listening: the kernel answers with a reset

    async def close(self) -> None:
        """Stop for good."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._held is not None:
            self._held.close()
        self._drop()
        await self.client.aclose()

    def set_fault(self, fault: Responder) -> None:
        """Let the fault answer from the next request on."""
        self.fault_over.clear()
        self._fault = fault

    def clear_fault(self) -> None:
        """Pass through again; whoever still hangs in the fault is let go."""
        self._fault = None
        self.fault_over.set()

    def note_keys(self, document: bytes) -> None:
        """Remember in which order keys appeared; of several at once the first in the set counts as newest."""
        for kid in reversed(_kids(document)):
            self._first_seen.setdefault(kid, len(self._first_seen))

    def newest(self, kids: Sequence[str]) -> str | None:
        """The one of these keys that appeared last."""
        return max(kids, key=lambda kid: self._first_seen.get(kid, -1), default=None)

    def _drop(self) -> None:
        for writer in tuple(self._connections):
            if writer.transport is not None:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError, TimeoutError):
                await self._serve_connection(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            received = await _receive(connection, reader)
            if received is None:
                return
            exchange = Exchange(self, *received)
            fault = self._fault
            answer = await (fault.respond(exchange) if fault is not None else exchange.upstream())
            if answer is None:
                writer.transport.abort()
                return
            writer.write(_encode(connection, answer))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()


def _bound(port: int) -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """The next request with its body, None when the peer has gone."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_CHUNK)
            connection.receive_data(data)
            continue
        match event:
            case h11.Request():
                request = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                assert request is not None
                return request, bytes(body)
            case _:
                return None


def _encode(connection: h11.Connection, answer: Answer) -> bytes:
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    parts: list[Any] = [
        connection.send(h11.Response(status_code=answer.status, headers=headers)),
        connection.send(h11.Data(data=answer.body)),
        connection.send(h11.EndOfMessage()),
    ]
    return b"".join(part for part in parts if part)


def _kids(document: bytes) -> list[str]:
    """The kids of a JWK set, in its order; none if it is no such set."""
    try:
        entries = json.loads(document)["keys"]
        return [entry["kid"] for entry in entries if isinstance(entry.get("kid"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
