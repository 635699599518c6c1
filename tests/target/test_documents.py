"""Whatever a server does, fetching from it ends soon, in a document or in one line that says what to mend."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target import documents
from jwtdrill.target.documents import fetch
from jwtdrill.tokens.certificates import self_signed


class Odd(BaseHTTPRequestHandler):
    """A server with a path for each oddity."""

    def do_GET(self) -> None:
        match self.path:
            case "/good":
                self._answer(b'{"a": 1}', "application/json")
            case "/html":
                self._answer(b"<html>sign in</html>", "text/html; charset=utf-8")
            case "/list":
                self._answer(b"[]", "application/json")
            case "/deep":
                self._answer(b"[" * 100_000, "application/json")
            case "/huge":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(100):
                        self.wfile.write(b" " * 1024 * 1024)
            case "/again":
                self.send_response(302)
                self.send_header("Location", "/again?token=x")
                self.end_headers()
            case "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"{")
            case "/drip":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not self.server.closing.wait(0.05):  # type: ignore[attr-defined]
                        self.wfile.write(b" ")
                        self.wfile.flush()

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    server.daemon_threads = True
    server.closing = threading.Event()  # type: ignore[attr-defined]
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.closing.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as number:
        yield number


@pytest.fixture
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def test_a_good_document(port: int, tls: ssl.SSLContext) -> None:
    found = fetch(f"http://127.0.0.1:{port}/good", tls)
    assert (found.status, found.members()) == (200, {"a": 1})
    assert found.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["html", "list", "deep"])
def test_what_is_no_object_is_named_by_its_type(port: int, tls: ssl.SSLContext, path: str) -> None:
    kind = "text/html" if path == "html" else "application/json"
    with pytest.raises(BadInputError, match=f"/{path}: serves {kind} that is no JSON object"):
        fetch(f"http://127.0.0.1:{port}/{path}", tls).members()


def test_a_hundred_megabytes_are_not_read(port: int, tls: ssl.SSLContext) -> None:
    with pytest.raises(BadInputError, match="more than 1024 KiB"):
        fetch(f"http://127.0.0.1:{port}/huge", tls)


def test_a_redirect_is_not_followed_but_named_without_its_query(port: int, tls: ssl.SSLContext) -> None:
    with pytest.raises(BadInputError, match=r"a redirect to /again: name where the document really is"):
        fetch(f"http://127.0.0.1:{port}/again", tls)


def test_an_answer_that_breaks_off(port: int, tls: ssl.SSLContext) -> None:
    with pytest.raises(MissingPartError, match="does not answer properly"):
        fetch(f"http://127.0.0.1:{port}/cut", tls)


def test_an_answer_that_never_ends(port: int, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_LONGEST", 0.3)
    with pytest.raises(MissingPartError, match="did not end its answer"):
        fetch(f"http://127.0.0.1:{port}/drip", tls)


def test_a_server_that_speaks_no_tls(port: int, tls: ssl.SSLContext) -> None:
    with pytest.raises(MissingPartError, match=f"127.0.0.1:{port} speaks no TLS"):
        fetch(f"https://127.0.0.1:{port}/good", tls)


def test_a_name_that_does_not_exist(tls: ssl.SSLContext) -> None:
    with pytest.raises(MissingPartError, match=r"the name nowhere\.invalid cannot be resolved"):
        fetch("https://nowhere.invalid/", tls)


def test_a_certificate_that_nobody_vouches_for(tls: ssl.SSLContext, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_bytes(self_signed("127.0.0.1").pem)
    with (
        serving(path) as number,
        pytest.raises(MissingPartError, match=r"its certificate is not trusted .* ca under \[tls\]"),
    ):
        fetch(f"https://127.0.0.1:{number}/good", tls)
