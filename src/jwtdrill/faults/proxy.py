"""The fault proxy: an HTTP/1.1 reverse proxy at the level of bytes, so that a fault can break anything.

A listener takes requests in for its routes and gives their answers out. An ASGI server could not refuse a connection or
stop in the middle of a body, hence asyncio and h11.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Any

import h11
import httpx

from jwtdrill.faults.route import TEXT, Answer, Caller, Edge, End, Route

_CHUNK = 64 * 1024
_ARRIVES_SECONDS = 0.02  # what was sent before a reset is to be read before it
_MOST_AHEAD = 1024 * 1024  # bytes that a client may send while it waits for an answer


class Listener:
    """A listening port with its routes; of these at most one is for all that no other has."""

    def __init__(self, port: int, routes: Sequence[Route], edge: Edge | None = None, host: str = "127.0.0.1") -> None:
        self.port = port
        self.edge = edge
        self._host = host
        self.routes = tuple(routes)
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._other: ssl.SSLContext | None = None
        for route in self.routes:
            route.door = self

    @property
    def shared(self) -> bool:
        """Whether it has several routes."""
        return len(self.routes) > 1

    async def open(self) -> None:
        """Listen; after `refuse` again. Raises OSError when the port is in use."""
        if self._server is None:
            held, self._held = self._held or self._bound(), None
            _share(held, wanted=True)  # else connections that linger would bar the next bind
            await self._listen(held)

    async def refuse(self) -> None:
        """Refuse connections, and drop those that are open. The port stays ours."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self._drop()
            try:
                self._held = self._bound()  # bound but not listening: the kernel answers with a reset
                _share(self._held, wanted=False)  # and nobody else may bind it meanwhile
            except OSError:
                await self.open()
                raise

    def leads_to(self, url: httpx.URL) -> bool:
        """Whether who asks here for the path of that URL gets what lies at that URL."""
        route = self._route(url.raw_path)
        return route is not None and route.place_of(url.raw_path) == url

    async def certify(self, context: ssl.SSLContext | None) -> None:
        """Show another certificate from the next handshake on, and drop what is open; None for its own.

        A context has sessions of its own: none is resumed by which a client would not be shown the other certificate.
        """
        self._other = context
        if self._server is not None:
            held, server = self._server.sockets[0].dup(), self._server
            server.close()
            await self._listen(held)
        self._drop()

    async def close(self) -> None:
        """Stop for good, routes and all."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._held is not None:
            self._held.close()
        self._drop()
        for route in self.routes:
            await route.close()

    async def _listen(self, held: socket.socket) -> None:
        own = self.edge.tls if self.edge is not None else None
        self._server = await asyncio.start_server(self._serve, sock=held, ssl=self._other or own)

    def _drop(self) -> None:
        for writer in tuple(self._connections):
            if writer.transport is not None:
                writer.transport.abort()

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        held = socket.socket(family, proto=socket.IPPROTO_TCP)  # named, else Nagle's algorithm stays on: 40 ms
        _share(held, wanted=True)
        try:
            held.bind((self._host, self.port))
        except OSError:
            held.close()
            raise
        return held

    def _route(self, target: bytes) -> Route | None:
        path = target.partition(b"?")[0].decode("latin-1")
        found = max(self.routes, key=lambda route: route.fits(path))
        return found if found.fits(path) >= 0 else None

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
        caller = Caller(writer.get_extra_info("peername")[0], certificate)
        while (received := await peer.receive()) is not None:
            request, body = received
            route = self._route(request.target)
            if route is None:
                await peer.answer(request, Answer(404, TEXT, b"nothing is proxied here"))
            else:
                over = route.fault_over
                answering = asyncio.ensure_future(route.exchange(request, body, caller).answer())
                try:
                    answer = await peer.unless_gone(answering)
                finally:
                    answering.cancel()
                if answer is None:
                    _reset(writer)
                    return
                if answer.ends_after is not None:
                    await peer.begin_answer(request, answer)
                    if answer.end is End.HANG:
                        await peer.unless_gone(asyncio.ensure_future(_nothing_until(over)))
                    else:
                        await asyncio.sleep(_ARRIVES_SECONDS)
                    _reset(writer)
                    return
                await peer.answer(request, answer)
            if not peer.next_cycle():
                return


async def _nothing_until(over: asyncio.Event) -> None:
    await over.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset, not with an orderly end that some take for the end of the body."""
    held = writer.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


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

    async def begin_answer(self, request: h11.Request, answer: Answer) -> None:
        """Send headers, and the body as far as it comes."""
        headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        self._write(h11.Response(status_code=answer.status, headers=headers))
        if request.method != b"HEAD" and answer.ends_after:
            self._write(h11.Data(data=answer.body[: answer.ends_after]))
        await self._writer.drain()

    async def answer(self, request: h11.Request, answer: Answer) -> None:
        """Send an answer; one that may have no body (RFC 9110 section 6.4.1) is sent without.

        To HEAD the upstream gives none, and how long it would be is not said (RFC 9110 section 8.6).
        """
        bodiless = request.method == b"HEAD" or answer.status in (204, 304)
        headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
        if not bodiless or (request.method == b"HEAD" and answer.body):
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


def _share(held: socket.socket, *, wanted: bool) -> None:
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(wanted))
