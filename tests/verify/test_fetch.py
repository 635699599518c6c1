"""What a hostile or broken endpoint sends is refused within bounds of time, size and origin; over real sockets."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.conftest import MakeServer
from tests.verify.conftest import until

from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.verify import JwksCache
from jwtdrill.verify.fetch import FetchError, FetchLimits, age_of, fetch_keyset, max_age_of

TLS = ssl.create_default_context()
LIMITS = FetchLimits(timeout=0.6, max_bytes=20_000)
Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server of one answer written byte by byte by the test; returns its URL."""
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def run() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    with contextlib.suppress(OSError):
                        answer(peer)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/jwks"

    yield start
    for listener in sockets:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


def reply(body: bytes, status: str = "200 OK", *headers: str) -> Callable[[socket.socket], None]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return lambda peer: peer.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def test_a_good_set_with_its_lifetime(serve: Serve, keys: dict[Algorithm, SigningKey]) -> None:
    body = json.dumps(jwks([keys[Algorithm.RS256]])).encode()
    fetched = fetch_keyset(serve(reply(body, "200 OK", "Cache-Control: public, max-age=60", "Age: 20")), LIMITS, TLS)
    assert fetched.max_age == 40
    assert [key.kid for key in fetched.keys] == [keys[Algorithm.RS256].kid]


@pytest.mark.parametrize("given", [None, "jwtdrill-verifier/orders"])
def test_the_endpoint_is_told_who_fetches(
    given: str | None, keys: dict[Algorithm, SigningKey], make_server: MakeServer
) -> None:
    """Through the cache, as a verifier does it."""
    server = make_server(json.dumps(jwks([keys[Algorithm.ES256]])).encode())
    with JwksCache(server.url, "https://issuer", **({"user_agent": given} if given else {})) as cache:
        until(lambda: bool(cache.on_hand().keys))
    assert server.agents == [given or "jwtdrill"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(b"<html>login</html>"), "not JSON"),
        (reply(b'{"keys": []}'), "0 keys"),
        (reply(b'{"error": "x"}'), "no list"),
        (reply(b"[" * 15_000), "not JSON"),
        (reply(b" " * 30_000), "more than 20000 bytes"),
        (reply(b"", "503 Service Unavailable"), "status 503"),
        (reply(b"", "302 Found", "Location: http://another.invalid/jwks"), "another origin"),
        (reply(b"x", "200 OK", "Content-Encoding: gzip"), "encoded body"),
        (lambda peer: peer.sendall(b"garbage\r\n\r\n"), "RemoteProtocolError"),
        (lambda _: None, "RemoteProtocolError"),
    ],
)
def test_what_is_no_good_set_is_refused(serve: Serve, answer: Callable[[socket.socket], None], why: str) -> None:
    with pytest.raises(FetchError, match=why):
        fetch_keyset(serve(answer), LIMITS, TLS)


def trickle(prefix: bytes) -> Callable[[socket.socket], None]:
    def answer(peer: socket.socket) -> None:
        peer.sendall(prefix)
        for _ in range(100):
            peer.sendall(b"x")
            time.sleep(0.05)

    return answer


@pytest.mark.parametrize(
    "prefix", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
def test_the_time_limit_holds_for_the_whole_exchange(serve: Serve, prefix: bytes) -> None:
    """A server that sends a byte now and then never runs into a time-out between bytes."""
    began = time.monotonic()
    with pytest.raises(FetchError, match="not done within"):
        fetch_keyset(serve(trickle(prefix)), LIMITS, TLS)
    assert time.monotonic() - began < 3


def test_a_name_look_up_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(FetchError, match="not done within"):
        fetch_keyset("http://idp.invalid/jwks", LIMITS, TLS)
    assert time.monotonic() - began < 3
    over.set()


def test_a_redirect_loop_ends(serve: Serve) -> None:
    with pytest.raises(FetchError, match="more than 3 redirects"):
        fetch_keyset(serve(reply(b"", "302 Found", "Location: /jwks")), FetchLimits(timeout=5), TLS)


def test_nobody_there() -> None:
    with pytest.raises(FetchError, match="ConnectError"):
        fetch_keyset("http://127.0.0.1:1/jwks", LIMITS, TLS)


@pytest.mark.parametrize(
    ("control", "age", "left"),
    [
        ("max-age=300", None, 300),
        ("public, MAX-AGE = 10", None, 10),
        ("max-age=300", "100", 200),
        ("max-age=10", "100", 0),
        ("max-age=300", "soon", 300),
        ("no-store, max-age=300", None, 0),
        ("private", None, None),
        ("x-max-age=5", None, None),
        ("max-age=99999999999999999999", None, 999999999),
        ("", None, None),
    ],
)
def test_freshness_by_rfc_9111(control: str, age: str | None, left: float | None) -> None:
    headers = {"cache-control": control} | ({"age": age} if age else {})
    assert max_age_of(httpx.Headers(headers)) == left


@pytest.mark.parametrize(
    ("said", "age"), [("7", 7), ("0", 0), ("-7", 0), ("x", 0), ("", 0), ("\u0667", 0), ("9" * 5000, 2**31)]
)
def test_the_age_that_a_cache_tells_of_is_bounded(said: str, age: float) -> None:
    assert age_of({"age": said}) == age
    assert age_of({}) == 0


def test_a_fetch_tells_how_old_the_set_is(serve: Serve, keys: dict[Algorithm, SigningKey]) -> None:
    body = json.dumps(jwks([keys[Algorithm.ES256]])).encode()
    url = serve(reply(body, "200 OK", "Age: 90", "Cache-Control: max-age=100"))
    fetched = fetch_keyset(url, LIMITS, TLS)
    assert (fetched.age, fetched.max_age) == (90, 10)
