"""Over mutual TLS: each case about certificates is refused by a correct server, and one flaw lets it in."""

import asyncio
import base64
import hashlib
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.probe.flawed import FlawedVerifier

from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.probe import presenter
from jwtdrill.probe.attack import Assault, Outcome, Plan, attack
from jwtdrill.probe.genuine import Allowance
from jwtdrill.probe.grounds import AtResource
from jwtdrill.probe.presenter import presenter_of
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.cases import CASES
from jwtdrill.tokens.certificates import Certified, Key, issued, self_signed
from jwtdrill.tokens.digests import certificate_thumbprint
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter

ISSUER, AUDIENCE = "https://idp.example", "https://orders.example"
KEY = SigningKey.generate(Algorithm.ES256, "k1")
AUTHORITY = self_signed("authority", authority=True)
DEVICES = [issued("device", AUTHORITY) for _ in range(2)]
CERTIFICATE_CASES = [case for case in CASES.values() if case.family == "certificate"]
# What each flaw lets in, and nothing else of the family.
FLAWS = {
    "ignores_binding": {case.id for case in CERTIFICATE_CASES},
    "lets_pass_without": {"certificate_absent", "certificate_in_headers"},
    "trusts_headers": {"certificate_in_headers"},
    "compares_name": {"certificate_of_another", "certificate_of_stranger", "certificate_of_same_key"},
    "compares_key": {"certificate_of_same_key"},
    "takes_digest_of_key": {"thumbprint_of_key"},
    "takes_hex": {"thumbprint_hex"},
    "takes_sha1": {"thumbprint_sha1"},
    "compares_beginning": {"thumbprint_prefix", "thumbprint_empty"},
    "compares_if_there": {"thumbprint_empty", "thumbprint_null", "thumbprint_number"},
    "compares_text": {"thumbprint_number", "thumbprint_null", "thumbprint_array"},
    "looks_inside": {"thumbprint_array"},
    "asks_for_any": {case.id for case in CERTIFICATE_CASES} - {"certificate_absent", "certificate_in_headers"},
}


def _digest_of_key(der: bytes) -> str:
    key = x509.load_der_x509_certificate(der).public_key()
    return certificate_thumbprint(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


class Resource(http.server.BaseHTTPRequestHandler):
    """A protected resource that ends mutual TLS itself. `flaw`: of the server."""

    def do_GET(self) -> None:
        token = self.headers.get("authorization", "").partition(" ")[2]
        refusal = FlawedVerifier(KEY, ISSUER, AUDIENCE, "read", (), "ignores_cnf").refusal(token)
        good = not refusal and self._bound(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))
        self.send_response(200 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def _bound(self, claims: dict[str, Any]) -> bool:
        flaw, bound = self.server.flaw, claims["cnf"]["x5t#S256"]  # type: ignore[attr-defined]
        der = self.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        if flaw == "ignores_binding":
            return True
        if der is None and flaw == "trusts_headers":
            pem = unquote(self.headers.get("x-ssl-client-cert", ""))
            der = ssl.PEM_cert_to_DER_cert(pem) if pem else None
        if der is None:
            return bool(flaw == "lets_pass_without")
        right = certificate_thumbprint(der)
        text = bound if isinstance(bound, str) else ""
        answers = {
            "compares_name": b"device" in der and text == certificate_thumbprint(DEVICES[0].der),
            "compares_key": text == certificate_thumbprint(DEVICES[0].der)
            and _digest_of_key(der) == _digest_of_key(DEVICES[0].der),
            "takes_digest_of_key": text == _digest_of_key(der),
            "takes_hex": text == hashlib.sha256(der).hexdigest(),
            "takes_sha1": text == base64.urlsafe_b64encode(hashlib.sha1(der).digest()).rstrip(b"=").decode(),
            "compares_beginning": isinstance(bound, str) and right.startswith(bound),
            "compares_if_there": not (isinstance(bound, str) and bound) and not isinstance(bound, list),
            "compares_text": not isinstance(bound, str),
            "looks_inside": isinstance(bound, list) and right in bound,
            "asks_for_any": True,
        }
        return text == right or bool(answers.get(flaw, False))

    def log_message(self, *_: Any) -> None:
        """Nothing is to be said."""


@contextmanager
def serving(flaw: str, folder: Path) -> Iterator[int]:
    """A server with that flaw."""
    (folder / "server.pem").write_bytes(issued("127.0.0.1", AUTHORITY).pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY.certificate_pem.decode())
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Resource)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.flaw = flaw  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def described(folder: Path, port: int) -> Target:
    (folder / "authority.pem").write_bytes(AUTHORITY.certificate_pem)
    for number, device in enumerate(DEVICES, 1):
        (folder / f"device-{number}.pem").write_bytes(device.pem)
    (folder / "target.toml").write_text(f"""\
environment = "test"
[issuer]
url = "{ISSUER}"
[[client]]
id = "device-{{n}}"
count = 2
auth = "tls"
certificate = "file:device-{{n}}.pem"
[[resource]]
name = "orders"
url = "https://127.0.0.1:{port}/"
audience = "{AUDIENCE}"
scope = "read"
mtls = true
[tls]
ca = "file:authority.pem"
""")
    return load_target(str(folder / "target.toml"))


def assaulted(flaw: str, folder: Path) -> Assault:
    minter = Minter(KEY)
    cnf = {"x5t#S256": certificate_thumbprint(DEVICES[0].der)}

    async def token(fresh: bool) -> str:
        claims = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="device", aud=AUDIENCE, scope="read")
        return minter.mint(claims._replace(extra={"cnf": cnf}))

    async def run(target: Target) -> Assault:
        found = presenter_of(target, target.first_clients)
        assert found is not None
        ground = AtResource(Call(target.resource[0]), token, minter, (KEY.public_jwk(),), found[1])
        async with httpx.AsyncClient(verify=tls_context(target)) as client:
            return await attack(Plan([ground], CERTIFICATE_CASES, rate=1e6, asks=Allowance(0)), client)

    with serving(flaw, folder) as port:
        return asyncio.run(run(described(folder, port)))


def test_of_a_correct_server_nothing_is_said(tmp_path: Path) -> None:
    assault = assaulted("", tmp_path)
    assert assault.held, assault.untold
    assert {attempt.case.id for attempt in assault.of(Outcome.HELD)} > {case.id for case in CERTIFICATE_CASES}
    assert not assault.of(Outcome.REMARK, Outcome.NOT_RUN)


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_lets_in_what_it_is_blind_to(flaw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the stranger's certificates come through the handshake here is not a server's flaw that Python can have."""

    def vouched_for(name: str, key: Key | None = None) -> Certified:
        return issued(name, AUTHORITY, key)

    monkeypatch.setattr(presenter, "self_signed", vouched_for)
    assault = assaulted(flaw, tmp_path)
    assert {attempt.case.id for attempt in assault.of(Outcome.FALSE_ACCEPT)} == FLAWS[flaw]


def test_every_case_of_the_family_is_let_in_by_a_flaw_of_its_own() -> None:
    particular = set().union(*(cases for flaw, cases in FLAWS.items() if flaw != "ignores_binding"))
    assert particular == FLAWS["ignores_binding"]


def test_a_file_that_holds_no_certificate_with_its_key_is_said_so(tmp_path: Path) -> None:
    target = described(tmp_path, 1)
    (tmp_path / "device-1.pem").write_bytes(DEVICES[0].certificate_pem)
    with pytest.raises(BadInputError, match="is no certificate in PEM with its own key, unencrypted"):
        tls_context(target, target.first_clients[0])
