"""Sends a request once and reads its answer: no retry, no redirect, no cookie, for all of these would falsify a count.

Locust's own client does all three, and its time-outs hold for each read alone. Connections and parser are those of
geventhttpclient, on which it is built too.
"""

import errno
import resource
import select
import ssl
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent.monkey import get_original
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPSocketPoolResponse

from jwtdrill import __version__
from jwtdrill.flows.exchange import Request, Response

_MOST_BODY_BYTES = 1024 * 1024  # of a body that are kept; the rest is read and dropped
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 60.0
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_poll = get_original("select", "poll")  # asks and returns, as gevent's cannot
_OTHER_FILES = 64  # that a process has open beside its connections


def most_connections() -> int:
    """So many this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - _OTHER_FILES)


class Sender:
    """The connections of one client. `most`: at once to each origin; `timeout`: seconds for a whole exchange."""

    def __init__(self, tls: ssl.SSLContext, *, most: int, timeout: float) -> None:
        self._tls = tls
        self._most = most
        self._timeout = timeout
        self._origins: dict[tuple[str, str, int, int], _Origin] = {}
        self._heads: dict[tuple[str, str, int], tuple[_Origin, str]] = {}

    def send(self, request: Request) -> Response:
        """What came back, or why nothing came: the name of the error. Never raises for what the network does."""
        timer = gevent.Timeout.start_new(self._timeout)
        try:
            return self._exchange(request)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            return Response(0, error="timeout")
        except HTTPConnectionClosed:
            return Response(0, error="connection closed")
        except HTTPParseError:
            return Response(0, error="broken answer")
        except OSError as error:
            return Response(0, error=errno.errorcode.get(error.errno or 0, type(error).__name__))
        finally:
            timer.close()

    def close(self) -> None:
        """Close what is idle now, and whatever is under way when it ends."""
        for origin in self._origins.values():
            origin.pool.close()

    def _exchange(self, request: Request) -> Response:
        origin, head = self._head(request)
        message = head.encode("latin-1") + (request.body or b"")
        while True:
            sock = origin.pool.get_socket()
            fresh = sock in origin.fresh
            origin.fresh.discard(sock)
            try:
                try:
                    sock.sendall(message)
                except BaseException:
                    origin.pool.release_socket(sock)
                    raise
                answer = HTTPSocketPoolResponse(sock, origin.pool, method=request.method)  # owns the socket from here
                return _read(answer)
            except (HTTPConnectionClosed, ConnectionResetError, BrokenPipeError):
                # A connection that the server had closed while it lay idle carried nothing (RFC 9112 section 9.3.1).
                if fresh or request.method not in _SAFE_METHODS:
                    raise

    def _head(self, request: Request) -> tuple["_Origin", str]:
        key = (request.method, request.url, id(request.tls))
        known = self._heads.get(key)
        if known is None:
            known = self._heads[key] = self._new_head(request)
        origin, text = known
        for name, value in request.headers.items():
            if "\r" in value or "\n" in value:
                raise ValueError(f"header {name} holds a line break")  # a second request could hide in it
            text += f"{name}: {value}\r\n"
        if request.body is not None:
            text += f"Content-Length: {len(request.body)}\r\n"
        return origin, f"{text}\r\n"

    def _new_head(self, request: Request) -> tuple["_Origin", str]:
        parts = urlsplit(request.url)
        place = (parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        name = (*place, id(request.tls))
        origin = self._origins.get(name)
        if origin is None:
            origin = self._origins[name] = _Origin(*place, self._most, request.tls or self._tls)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return origin, (
            f"{request.method} {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
            f"User-Agent: jwtdrill/{__version__}\r\nAccept-Encoding: identity\r\n"
        )


class _Origin:
    """The pool for one origin, and which of its connections nobody has used yet."""

    def __init__(self, scheme: str, host: str, port: int, most: int, tls: ssl.SSLContext) -> None:
        # No time-out of a socket's own: that of the whole exchange is the one that counts.
        if scheme == "https":
            self.pool: ConnectionPool = SSLConnectionPool(
                host, port, host, port, size=most, ssl_context_factory=lambda **_: tls
            )
        else:
            self.pool = ConnectionPool(host, port, host, port, size=most)
        self.pool.connection_timeout = _CONNECT_SECONDS
        self.pool.network_timeout = None  # type: ignore[assignment]
        self.pool.after_connect = self._connected  # type: ignore[method-assign]
        self.pool._is_socket_alive = _is_idle  # type: ignore[method-assign]  # noqa: SLF001 - see there
        self.fresh: set[object] = set()

    def _connected(self, sock: object) -> None:
        self.fresh.add(sock)


def _is_idle(sock: Any) -> bool:
    """Whether nothing has come over a connection that lay idle: neither its end nor bytes that nobody asked for.

    In place of the library's own look, which gevent makes a turn of the event loop, and which sees none above 1,023.
    """
    if sock is None or sock.fileno() < 0:
        return False
    poller = _poll()
    poller.register(sock.fileno(), select.POLLIN)
    return not poller.poll(0)


def _read(answer: HTTPSocketPoolResponse) -> Response:
    body = answer.read() if answer.message_complete else answer.read(_MOST_BODY_BYTES)
    while not answer.message_complete and answer.read(_CHUNK):
        pass
    headers: dict[str, str] = {}
    for field, value in answer.info().items():
        name = field.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Response(answer.get_code(), headers, body)
