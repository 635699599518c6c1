"""The fault proxy: an HTTP/1.1 reverse proxy at the level of bytes, so that a fault can break anything.

A route without a fault passes everything through. A fault answers in the route's stead, with or without asking the
upstream. An ASGI server could not refuse a connection or stop in the middle of a header, hence asyncio and h11.
"""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import h11
import httpx

from jwtdrill.verify.certificate import CERTIFICATE_HEADER, EDGE_HEADER, forwarded

Headers = Sequence[tuple[bytes, bytes]]
_CHUNK = 64 * 1024
_MOST_AHEAD = 1024 * 1024  # bytes that a client may send while it waits for an answer
_UPSTREAM_SECONDS = 30.0
_UPSTREAM_CONNECTIONS = 1000
_TEXT = [(b"content-type", b"text/plain")]
# Headers of one connection only (RFC 9110 section 7.6.1), and those that httpx or h11 set anew.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_OURS = frozenset((b"host", b"content-length", b"expect", CERTIFICATE_HEADER, EDGE_HEADER))


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """TLS that ends at a route. Who shows a certificate is told of to the upstream, which knows us by the secret."""

    tls: ssl.SSLContext
    secret: str = field(repr=False)


class Exchange:
    """One request on a route, to be answered by a fault. certificate: of the client, in DER, empty without."""

    def __init__(self, route: "Route", request: h11.Request, body: bytes, certificate: bytes = b"") -> None:
        self.route = route
        self._request = request
        self._body = body
        self._certificate = certificate

    async def upstream(self) -> Answer:
        """What the upstream answers; 502 when it does not."""
        headers = [
            (name, value) for name, value in self._request.headers if name not in _HOP_BY_HOP and name not in _OURS
        ]
        if self._certificate and self.route.edge is not None:
            headers += forwarded(self._certificate, self.route.edge.secret)
        if not self._request.target.startswith(b"/"):  # another form would name another host
            return Answer(400, _TEXT, b"the request target must be a path")
        base = httpx.URL(self.route.upstream)
        url = base.copy_with(raw_path=base.raw_path.rstrip(b"/") + self._request.target)
        try:
            response = await self.route.client.request(
                self._request.method.decode("ascii"), url, headers=headers, content=self._body
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            return Answer(502, _TEXT, b"the upstream does not answer")
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

    def __init__(self, name: str, port: int, upstream: str, edge: Edge | None = None) -> None:
        self.name = name
        self.edge = edge
        self.port = port
        self.upstream = upstream
        self.client = httpx.AsyncClient(
            timeout=_UPSTREAM_SECONDS,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=_UPSTREAM_CONNECTIONS),
        )
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
            _share(held, wanted=True)  # else connections that linger would bar the next bind
            self._server = await asyncio.start_server(self._serve, sock=held, ssl=self.edge.tls if self.edge else None)

    async def refuse(self) -> None:
        """Refuse connections, and drop those that are open. The port stays ours."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self._drop()
            try:
                self._held = _bound(self.port)  # bound but not listening: the kernel answers with a reset
                _share(self._held, wanted=False)  # and nobody else may bind it meanwhile
            except OSError:
                await self.open()
                raise

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
            with contextlib.suppress(ConnectionError, h11.ProtocolError, TimeoutError):
                await self._serve_connection(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(h11.Connection(h11.SERVER), reader, writer)
        secured = writer.get_extra_info("ssl_object")
        certificate = (secured.getpeercert(binary_form=True) or b"") if secured is not None else b""
        while (received := await peer.receive()) is not None:
            exchange = Exchange(self, *received, certificate)
            fault = self._fault
            answering = asyncio.ensure_future(fault.respond(exchange) if fault is not None else exchange.upstream())
            try:
                answer = await peer.unless_gone(answering)
            finally:
                answering.cancel()
            if answer is None:
                writer.transport.abort()
                return
            await peer.answer(received[0], answer)
            if not peer.next_cycle():
                return


class _Peer:
    """One connection from a client: requests in, answers out, and a watch for the client's leaving."""

    def __init__(self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connection = connection
        self._reader = reader
        self._writer = writer
        self._reading: asyncio.Task[bytes] | None = None

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """The next request with its body, None when the client has gone."""
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                if self._connection.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._connection.receive_data(await self._read())
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

    async def unless_gone(self, answering: "asyncio.Future[Answer | None]") -> Answer | None:
        """The answer, or None as soon as the client has left: nothing then waits for nobody."""
        while True:
            reading = self._begin_read()
            await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            data = await self._read()
            if not data:
                return None
            self._connection.receive_data(data)  # the next request, sent ahead
            if len(self._connection.trailing_data[0]) > _MOST_AHEAD:
                return None

    async def answer(self, request: h11.Request, answer: Answer) -> None:
        """Send an answer; one that may have no body (RFC 9110 section 6.4.1) is sent without."""
        bodiless = request.method == b"HEAD" or answer.status in (204, 304)
        headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
        if not bodiless or request.method == b"HEAD":
            headers.append((b"content-length", str(len(answer.body)).encode()))
        self._write(h11.Response(status_code=answer.status, headers=headers))
        if not bodiless:
            self._write(h11.Data(data=answer.body))
        self._write(h11.EndOfMessage())
        await self._writer.drain()

    def next_cycle(self) -> bool:
        """Whether the connection can carry another request."""
        if self._connection.our_state is not h11.DONE or self._connection.their_state is not h11.DONE:
            return False
        self._connection.start_next_cycle()
        return True

    def _begin_read(self) -> "asyncio.Task[bytes]":
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reader.read(_CHUNK))
        return self._reading

    async def _read(self) -> bytes:
        reading, data = self._begin_read(), b""
        try:
            data = await reading
        finally:
            self._reading = None
        return data

    def _write(self, event: Any) -> None:
        data = self._connection.send(event)
        if data:
            self._writer.write(data)


def _bound(port: int) -> socket.socket:
    held = socket.socket(proto=socket.IPPROTO_TCP)  # named, else asyncio would leave Nagle's algorithm on: 40 ms
    _share(held, wanted=True)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


def _share(held: socket.socket, *, wanted: bool) -> None:
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(wanted))


def _kids(document: bytes) -> list[str]:
    """The kids of a JWK set, in its order; none if it is no such set."""
    try:
        entries = json.loads(document)["keys"]
        return [entry["kid"] for entry in entries if isinstance(entry.get("kid"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
