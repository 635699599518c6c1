"""A small target over real sockets: an issuer and two resources, at one of which a token is good once only."""

import contextlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tests.probe.flawed import FlawedVerifier

from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.tokens.reading import claims_of

AUDIENCE, SCOPE = "https://orders.example", "orders:read"
CLIENT = SigningKey.generate(Algorithm.ES256, "c-1")
TARGET = """environment = "test"
[issuer]
url = "{url}"
token_endpoint = "{url}/token"
jwks_uri = "{url}/jwks"
[[client]]
id = "c"
auth = "private_key_jwt"
key = "file:client.pem"
scope = "orders:read"
[[signer]]
key = "file:signer.pem"
kid = "{kid}"
alg = "ES256"
[[resource]]
name = "orders"
url = "{url}/orders"
audience = "https://orders.example"
scope = "orders:read"
[[resource]]
name = "payments"
url = "{url}/payments"
audience = "https://orders.example"
scope = "orders:read"
one_time = true
[limits]
rate = 500
[watch]
file_sd = "{folder}"
"""


class Misused:
    """flaws: of its verifier; lifetime: of its tokens; lost: first answers of /payments that fail."""

    def __init__(self, *flaws: str, lifetime: int = 60, lost: int = 0):
        self.key = SigningKey.generate(Algorithm.ES256, "k-1")
        self.flaws = flaws
        self.lifetime = lifetime
        self.lost = lost
        self.asked: Counter[str] = Counter()
        self.granted: Counter[str] = Counter()
        self.forwarded: set[str] = set()
        self.senders: set[str] = set()
        self._used: set[str] = set()
        self._lock = threading.Lock()
        self._refresh: dict[str, str] = {}  # family to the token in force
        self.url = ""

    @cached_property
    def verifier(self) -> FlawedVerifier:
        """Of both resources."""
        return FlawedVerifier(self.key, self.url, AUDIENCE, SCOPE, (), *self.flaws)

    def token(self) -> str:
        """A good one."""
        claims = Claims.lasting(self.lifetime, now=time.time(), iss=self.url, sub="c", aud=AUDIENCE, scope=SCOPE)
        return Minter(self.key).mint(claims)

    def status(self, path: str, token: str) -> int:
        """What a resource answers."""
        if self.verifier.refusal(token):
            return 401
        if path == "/payments":
            with self._lock:
                if self.lost > 0:
                    self.lost -= 1
                    return 500
                jti = str((claims_of(token) or {}).get("jti"))
                if jti in self._used:
                    return 401
                self._used.add(jti)
        return 200

    def grant(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """What the token endpoint answers."""
        kind = form["grant_type"].rpartition(":")[2]
        with self._lock:
            self.granted[kind] += 1
            family = secrets.token_hex(4)
            if kind == "refresh_token":
                family = form["refresh_token"].partition(".")[0]
                if self._refresh.get(family) != form["refresh_token"]:
                    self._refresh.pop(family, None)
                    return 400, {"error": "invalid_grant"}
            more = {}
            if kind != "client_credentials":
                more["refresh_token"] = self._refresh[family] = f"{family}.{secrets.token_hex(8)}"
        return 200, {"access_token": self.token(), "expires_in": max(self.lifetime, 1), "token_type": "Bearer", **more}

    def target_file(self, folder: Path, without: str = "", **changes: str) -> Path:
        """Its target file in that folder, without the table of that name, and with texts changed."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "client.pem").write_bytes(CLIENT.pem())
        (folder / "signer.pem").write_bytes(self.key.pem())
        text = TARGET.format(url=self.url, kid=self.key.kid, folder=folder)
        tables = text.replace("\n[[", "\n\n[[").replace("\n[", "\n\n[").split("\n\n")
        kept = [table for table in tables if not without or not table.strip().startswith(without)]
        text = "\n".join(kept)
        for old, new in changes.items():
            text = text.replace(old, new)
        path = folder / "target.toml"
        path.write_text(text)
        return path

    def target(self, folder: Path, without: str = "", **changes: str) -> Target:
        """The same, read."""
        return load_target(str(self.target_file(folder, without, **changes)))


@contextlib.contextmanager
def serving(misused: Misused) -> Iterator[Misused]:
    """Let it answer on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            misused.asked[self.path] += 1
            if self.path == "/jwks":
                self._answer(200, {"keys": [misused.key.public_jwk()]})
                return
            misused.forwarded |= {self.headers.get("X-Forwarded-For", "")}
            misused.senders |= {self.client_address[0]}
            self._answer(misused.status(self.path, self.headers.get("Authorization", "").partition(" ")[2]), {})

        def do_POST(self) -> None:
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self._answer(*misused.grant(form))

        def log_message(self, *args: object) -> None:
            pass

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    misused.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield misused
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
