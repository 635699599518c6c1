"""A request is sent once, and what came of it is told whatever the network does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import gevent.ssl
import pytest

from jwtdrill.flows.exchange import Request
from jwtdrill.load.sender import Sender, most_connections

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: a\r\nX-Two: b\r\n\r\nok"
Answer = Callable[[socket.socket, bytes, int], bool]


class Server:
    """Answers each request with what the test says, in a thread of the system; counts requests and connections."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            number = 0
            while head := self._read(connection):
                self.requests.append(head)
                number += 1
                if not self._answer(connection, head, number):
                    return

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                chunk = connection.recv(65536)
                if not chunk:
                    return b""
                data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            while len(body) < length:
                body += connection.recv(65536)
        except OSError:
            return b""
        return head + b"\r\n\r\n" + body


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    made: list[Server] = []

    def start(answer: Answer) -> Server:
        made.append(Server(answer))
        return made[-1]

    yield start
    for server in made:
        server.close()


def says(text: bytes, then: bool = True) -> Answer:
    def answer(connection: socket.socket, _: bytes, __: int) -> bool:
        connection.sendall(text)
        return then

    return answer


MakeSender = Callable[..., Sender]


@pytest.fixture
def sender() -> Iterator[MakeSender]:
    made: list[Sender] = []

    def make(timeout: float = 2.0, most: int = 4) -> Sender:
        made.append(Sender(gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT), most=most, timeout=timeout))
        return made[-1]

    yield make
    for client in made:
        client.close()


def get(port: int, **headers: str) -> Request:
    return Request("GET", f"http://127.0.0.1:{port}/path?query=1", headers)


def test_an_answer_is_status_headers_and_body_over_one_connection(
    serve: Callable[[Answer], Server], sender: MakeSender
) -> None:
    server = serve(says(OK))
    client = sender()
    for _ in range(5):
        response = client.send(get(server.port, Authorization="Bearer x"))
        assert (response.status, response.body, response.error) == (200, b"ok", None)
        assert response.headers["x-two"] == "a, b"
    assert server.connections == 1
    head = server.requests[0].decode()
    assert head.startswith(f"GET /path?query=1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")
    assert "Authorization: Bearer x\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head


def test_a_body_is_sent_whole(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    server = serve(says(OK))
    body = b"a=1&" * 20_000
    assert sender().send(Request("POST", f"http://127.0.0.1:{server.port}/", {}, body)).status == 200
    assert server.requests[0].endswith(body)
    assert f"Content-Length: {len(body)}".encode() in server.requests[0]


def test_a_redirect_is_an_answer(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    server = serve(says(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"))
    response = sender().send(get(server.port))
    assert (response.status, response.headers["location"]) == (302, "/login")
    assert len(server.requests) == 1


def test_a_body_until_the_connection_closes_is_whole(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100_000, then=False))
    assert len(sender().send(get(server.port)).body) == 100_000


def test_a_huge_body_is_cut_but_read_to_its_end(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    size = 3 * 1024 * 1024
    server = serve(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size))
    client = sender()
    for _ in range(2):
        assert len(client.send(get(server.port)).body) == 1024 * 1024
    assert server.connections == 1


def silence(_: socket.socket, __: bytes, ___: int) -> bool:
    time.sleep(1)
    return False


def trickle(connection: socket.socket, _: bytes, __: int) -> bool:
    try:
        for _ in range(40):
            connection.sendall(b"H")
            time.sleep(0.1)
    except OSError:
        pass
    return False


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (silence, "timeout"),
        (trickle, "broken answer"),
        (says(b"", then=False), "connection closed"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", then=False), "broken answer"),
        (says(b"SSH-2.0-OpenSSH\r\n\r\n"), "broken answer"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le", then=False), "broken answer"),
    ],
)
def test_what_went_wrong_is_named_and_nothing_is_sent_twice(
    serve: Callable[[Answer], Server], sender: MakeSender, answer: Answer, error: str
) -> None:
    server = serve(answer)
    client = sender(timeout=0.4)
    began = time.monotonic()
    for number in (1, 2):
        response = client.send(get(server.port))
        assert (response.status, response.error) == (0, error)
        assert len(server.requests) == number
    assert time.monotonic() - began < 3


def test_a_refused_connection_is_named(sender: MakeSender) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert sender().send(get(unused.getsockname()[1])).error == "ECONNREFUSED"


def test_an_idle_connection_that_the_server_has_closed_is_no_error_of_its(
    serve: Callable[[Answer], Server], sender: MakeSender
) -> None:
    server = serve(says(OK, then=False))
    client = sender()
    assert [client.send(get(server.port)).status for _ in range(4)] == [200] * 4
    assert (len(server.requests), server.connections) == (4, 4)


def test_a_post_is_never_sent_again(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    def drop_the_second(connection: socket.socket, _: bytes, number: int) -> bool:
        if number == 1:
            connection.sendall(OK)
        return number == 1

    server = serve(drop_the_second)
    client = sender()
    post = Request("POST", f"http://127.0.0.1:{server.port}/", {}, b"x")
    assert client.send(post).status == 200
    assert client.send(post).error == "connection closed"
    assert len(server.requests) == 2


def test_a_line_break_in_a_header_is_refused(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    server = serve(says(OK))
    with pytest.raises(ValueError, match="line break"):
        sender().send(get(server.port, Authorization="Bearer x\r\nGET /admin HTTP/1.1"))
    assert not server.requests


def test_connections_are_given_back_whatever_happens(serve: Callable[[Answer], Server], sender: MakeSender) -> None:
    """With one connection allowed, a leak of one would hang the next request for ever."""
    server = serve(says(b"", then=False))
    client = sender(timeout=1.0, most=1)
    for _ in range(5):
        assert client.send(get(server.port)).error == "connection closed"


def test_a_server_that_does_not_answer_the_handshake_times_out(
    serve: Callable[[Answer], Server], sender: MakeSender
) -> None:
    server = serve(says(OK))
    response = sender(timeout=0.5).send(Request("GET", f"https://127.0.0.1:{server.port}/"))
    assert (response.status, response.error) == (0, "timeout")
    assert not server.requests


def test_some_files_are_left_for_others() -> None:
    assert most_connections() >= 1
