"""What many tests share: keys are slow to make, so there is one of each algorithm in a session."""

import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jwtdrill.tokens.keys import Algorithm, SigningKey

# A shell gives its background jobs an ignored SIGINT, which children inherit: they would not end by Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def keys() -> dict[Algorithm, SigningKey]:
    """One signing key of each algorithm."""
    return {alg: SigningKey.generate(alg) for alg in Algorithm}


class FakeClock:
    """Time that passes only when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    """A clock that a test moves."""
    return FakeClock()


class KeySetServer(ThreadingHTTPServer):
    """Serves `body` to whoever asks, with `status`, and remembers by which User-Agent they did."""

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.body = body
        self.status = 200
        self.agents: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/jwks"


class _Answering(BaseHTTPRequestHandler):
    server: KeySetServer

    def do_GET(self) -> None:
        self.server.agents.append(self.headers.get("User-Agent"))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Nothing to standard error."""


MakeServer = Callable[[bytes], KeySetServer]


@pytest.fixture
def make_server() -> Iterator[MakeServer]:
    """Servers of key sets over real sockets, ended with the test."""
    made: list[KeySetServer] = []

    def make(body: bytes) -> KeySetServer:
        server = KeySetServer(body)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        made.append(server)
        return server

    yield make
    for server in made:
        server.shutdown()
        server.server_close()
