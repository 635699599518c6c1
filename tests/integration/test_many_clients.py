"""Thousands of clients, each with its own key and subject, of several issuers: seen from where the tokens are given."""

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from tests.integration.conftest import Commands

from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks

pytestmark = pytest.mark.integration
COUNT = 120
KEYS = {f"job-{number}": SigningKey.generate(Algorithm.ES256) for number in range(1, COUNT + 1)}


class Handler(http.server.BaseHTTPRequestHandler):
    """An issuer that writes down who asks, once it has checked the signature with that client's own key."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        metadata = {"issuer": base, "token_endpoint": f"{base}/token", "jwks_uri": f"{base}/jwks"}
        self._say(jwks([KEYS["job-1"]]) if self.path == "/jwks" else metadata)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        assertion = form.get("client_assertion", form.get("assertion", [""]))[0]
        said = jwt.decode(assertion, options={"verify_signature": False})
        key = KEYS.get(said["iss"], KEYS["job-1"]).private.public_key()  # type: ignore[union-attr]
        jwt.decode(assertion, key, ["ES256"], options={"verify_aud": False})
        self.server.asked.append(said)  # type: ignore[attr-defined]
        self._say({"access_token": "opaque", "token_type": "Bearer", "expires_in": 60})

    def _say(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is to be said."""


class Issuer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []


@pytest.fixture
def issuers() -> Iterator[list[Issuer]]:
    servers = [Issuer(), Issuer()]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_simulated_client_has_its_own_id_key_and_subject_and_issuers_come_by_weight(
    commands: Commands, tmp_path: Path, issuers: list[Issuer], processes: int
) -> None:
    for name, key in KEYS.items():
        (tmp_path / f"{name}.pem").write_bytes(key.pem())
    urls = [f"http://127.0.0.1:{issuer.server_port}" for issuer in issuers]
    path = tmp_path / "target.toml"
    path.write_text(f"""\
environment = "test"
[issuer]
url = "{urls[0]}"
[[client]]
id = "job-{{n}}"
count = {COUNT}
weight = 3
auth = "private_key_jwt"
key = "file:job-{{n}}.pem"
subject = "user-{{n}}"
[[client]]
id = "elsewhere"
weight = 1
auth = "private_key_jwt"
key = "file:job-1.pem"
issuer = "{urls[1]}"
[[resource]]
url = "{urls[0]}/orders"
audience = "x"
""")
    done = commands.run(
        *("locust", "-f", "loadtests/issuance.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", path, "-u", "160", "-r", "160", "-t", "10s", "--throughput", "1", "JwtBearerIssuance"),
        *(("--processes", "2") if processes == 2 else ()),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    here, there = (issuer.asked for issuer in issuers)
    assert {said["iss"] for said in here} == set(KEYS)
    subjects = {said["iss"]: said["sub"] for said in here}
    assert len(set(subjects.values())) == COUNT
    assert all(said["sub"] == subjects[said["iss"]] for said in here)
    assert {said["iss"] for said in there} == {"elsewhere"}
    assert {said["aud"] for said in there} == {urls[1]}
    assert 0.15 < len(there) / (len(here) + len(there)) < 0.35
    assert len({said["jti"] for said in here}) == len(here)


def test_a_key_that_is_missing_at_the_end_of_the_row_is_said_before_any_load(
    commands: Commands, tmp_path: Path, issuers: list[Issuer]
) -> None:
    (tmp_path / "job-1.pem").write_bytes(KEYS["job-1"].pem())
    url = f"http://127.0.0.1:{issuers[0].server_port}"
    client = 'id = "job-{n}"\ncount = 50\nauth = "private_key_jwt"\nkey = "file:job-{n}.pem"'
    path = tmp_path / "target.toml"
    path.write_text(
        f'environment = "test"\n[issuer]\nurl = "{url}"\n[[client]]\n{client}\n'
        f'[[resource]]\nurl = "{url}"\naudience = "x"\n'
    )
    began = time.monotonic()
    done = commands.run("locust", "-f", "loadtests/issuance.py", "--headless", "--target", path, "-u", "1", "-t", "2s")
    assert done.returncode == 2
    assert "client job-50: file:job-50.pem: cannot be read" in done.stderr
    assert not issuers[0].asked
    assert time.monotonic() - began < 60


def test_calls_are_spread_by_the_weights_of_resources(lab: Commands, tmp_path: Path) -> None:
    path = lab.target.with_name("weighted.toml")
    text = lab.target.read_text()
    path.write_text(text.replace('name = "verifier-a"', 'name = "verifier-a"\nweight = 4', 1))
    done = lab.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", path, "-u", "20", "-r", "20", "-t", "4s", "--report", tmp_path / "run.json"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    counts: Counter[str] = Counter()
    for tally in json.loads((tmp_path / "run.json").read_text())["tallies"]:
        if tally["flow"] == "call":
            counts[tally["resource"]] += tally["count"]
    assert set(counts) == {"verifier-a", "verifier-b"}
    assert 2.5 < counts["verifier-a"] / counts["verifier-b"] < 6.5
