"""The fault proxy that a team puts before its own issuer: real processes, http and https, and every way to end it."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.conftest import MakeServer
from tests.integration.conftest import BIN, processes_naming, until

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.client import FaultClient
from jwtdrill.flows.token import ClientCredentials, ClientIdentity
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.processes.supervisor import free_port
from jwtdrill.target.discovery import discover
from jwtdrill.target.model import Target
from jwtdrill.tokens.certificates import issued, self_signed
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.verify.cache import JwksCache
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.verifier import Verifier, VerifierPolicy

pytestmark = pytest.mark.integration
METADATA = "/.well-known/oauth-authorization-server"


@dataclass
class Proxy:
    """A running `jwtdrill proxy`."""

    process: subprocess.Popen[bytes]
    url: str
    control: str
    token_file: Path
    log: Path
    trust: ssl.SSLContext | bool = True

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, timeout=10)

    def get(self, path: str) -> httpx.Response:
        with self.client() as client:
            return client.get(path)

    def faults(self) -> FaultClient:
        return FaultClient(f"http://{self.control}", self.token_file.read_text())

    def agent(self) -> psutil.Process:
        [agent] = psutil.Process(self.process.pid).children()[-1:]
        assert "jwtdrill.faults.agent" in agent.cmdline()
        return agent

    def passes(self) -> bool:
        try:
            return self.get(METADATA).status_code == 200
        except httpx.TransportError:
            return False


class Raise:
    """Starts proxies on free ports, and ends those that still run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {**os.environ, "JWTDRILL_JOURNAL": str(folder / "journal.jsonl"), "NO_COLOR": "1"}
        self.authority = self_signed("authority", authority=True)
        (folder / "authority.pem").write_bytes(self.authority.pem)
        (folder / "ca.pem").write_bytes(self.authority.certificate_pem)
        (folder / "server.pem").write_bytes(issued("127.0.0.1", self.authority).pem)
        self._running: list[Proxy] = []

    def __call__(self, upstream: str, *more: str, secure: bool = False, host: str = "127.0.0.1") -> Proxy:
        number, listen, control = len(self._running), f"{host}:{free_port()}", f"127.0.0.1:{free_port()}"
        log, token_file = self.folder / f"{number}.log", self.folder / f"{number}.token"
        argv = [BIN / "jwtdrill", "proxy", "--upstream", upstream, "--listen", listen, "--control", control]
        argv += ["--control-token", token_file, *more]
        if secure:
            argv += ["--cert", self.folder / "server.pem", "--authority", self.folder / "authority.pem"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._env
            )
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.pem")) if secure else True
        proxy = Proxy(process, f"{'https' if secure else 'http'}://{listen}", control, token_file, log, trust)
        self._running.append(proxy)
        until(lambda: "standing at" in log.read_text() or process.poll() is not None, 30)
        assert process.poll() is None, log.read_text()
        return proxy

    def close(self) -> None:
        for proxy in self._running:
            if proxy.process.poll() is None:
                proxy.process.terminate()
        for proxy in self._running:
            proxy.process.wait(15)


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raise]:
    made = Raise(tmp_path_factory.mktemp("proxies"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def front(proxies: Raise, target: Target) -> Proxy:
    """https before the lab's issuer, which speaks http."""
    return proxies(target.issuer.url, secure=True)


@pytest.fixture(scope="module")
def second(proxies: Raise, front: Proxy) -> Proxy:
    """http before an https upstream with a private CA: the first one."""
    return proxies(front.url, "--ca", str(proxies.folder / "ca.pem"))


@pytest.fixture
def faults(front: Proxy) -> Iterator[FaultClient]:
    client = front.faults()
    yield client
    client.end_all()
    client.close()


def asking_for_a_token(target: Target, path: str) -> dict[str, Any]:
    """The arguments of a request for a token by way of another URL."""
    assert target.first_client is not None
    request = ClientCredentials(ClientIdentity(target.first_client, target, discover(target))).request()
    return {"method": "POST", "url": path, "headers": dict(request.headers), "content": request.body}


@pytest.mark.parametrize("name", ["front", "second"])
def test_everything_passes_through(target: Target, name: str, request: pytest.FixtureRequest) -> None:
    proxy: Proxy = request.getfixturevalue(name)
    real = httpx.get(target.issuer.url + METADATA).json()
    with proxy.client() as client:
        seen = client.get(METADATA).json()
        assert seen == {**real, "jwks_uri": f"{proxy.url}/jwks"}
        assert client.get("/.well-known/openid-configuration").json() == seen
        key_set, own = client.get("/jwks?again=1"), httpx.get(real["jwks_uri"])
        assert (key_set.json(), key_set.headers["cache-control"]) == (own.json(), own.headers["cache-control"])
        head = client.head("/jwks")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers.get("content-length") != "0"
        token = client.request(**asking_for_a_token(target, "/token")).json()["access_token"]
        assert token.count(".") == 2
        refused = client.post("/token", data={"grant_type": "none"})
        assert (refused.status_code, "error" in refused.json()) == (400, True)
        assert client.post("/introspect", data={"token": token}).status_code == 401
        assert client.get("/nowhere?x=1").status_code == 404
        assert "jwt_issuance_total" in client.get("/metrics").text


def test_the_key_set_is_led_here_also_from_another_origin_and_by_the_public_url(
    proxies: Raise, make_server: MakeServer, keys: dict[Algorithm, SigningKey]
) -> None:
    key_set = make_server(json.dumps(jwks([keys[Algorithm.ES256]])).encode())
    issuer = make_server(b"")
    origin = issuer.url.removesuffix("/jwks")
    elsewhere = key_set.url.replace("/jwks", "/keys/v1?tenant=a")
    real = {"issuer": origin, "jwks_uri": elsewhere, "token_endpoint": f"{origin}/token", "more": [elsewhere]}
    issuer.body = json.dumps(real).encode()
    proxy = proxies(origin, "--public", "https://idp-drill.example/")
    seen = proxy.get("/.well-known/openid-configuration").json()
    assert seen == {**real, "jwks_uri": "https://idp-drill.example/keys/v1?tenant=a"}
    assert proxy.get("/keys/v1?tenant=a").json() == jwks([keys[Algorithm.ES256]])
    assert proxy.get("/keys/v2").json() == real  # all else is the issuer's
    issuer.body = json.dumps({**real, "jwks_uri": elsewhere.replace("v1", "v2")}).encode()
    moved = proxy.get("/.well-known/openid-configuration").json()
    assert moved["jwks_uri"] == elsewhere.replace("v1", "v2")  # where we do not lead, nobody is led astray


def test_a_fault_is_felt_at_its_route_and_nowhere_else(front: Proxy, faults: FaultClient, target: Target) -> None:
    def statuses() -> list[int]:
        with front.client() as client:
            asked = [client.get(path).status_code for path in ("/jwks", METADATA, "/metrics")]
            return [*asked, client.request(**asking_for_a_token(target, "/token")).status_code]

    assert statuses() == [200, 200, 200, 200]
    for name, expected in (
        ("jwks.status", [503, 200, 200, 200]),
        ("discovery.status", [200, 503, 200, 200]),
        ("all.status", [200, 200, 503, 200]),
        ("token.status", [200, 200, 200, 503]),
    ):
        with faults.begin(name, {}, lease=10):
            assert statuses() == expected, name
    with faults.begin("token.latency", {"seconds": 1}, lease=10):
        began = time.monotonic()
        front.get("/jwks")
        assert time.monotonic() - began < 0.5
        with front.client() as client:
            assert client.request(**asking_for_a_token(target, "/token")).status_code == 200
        assert time.monotonic() - began >= 1
    with faults.begin("discovery.garbage", {}, lease=10):
        with pytest.raises(ValueError):
            front.get(METADATA).json()
        assert front.get("/jwks").json()["keys"]
    assert statuses() == [200, 200, 200, 200]
    with pytest.raises(BadInputError, match="nothing is proxied as 'revocation'"):
        faults.begin("revocation.status", {}, lease=5)


@pytest.mark.parametrize(
    ("wrong", "says"), [("expired", "certificate has expired"), ("other_name", "certificate is not valid for")]
)
def test_a_wrong_certificate_is_wrong_in_one_way_alone(
    front: Proxy, faults: FaultClient, wrong: str, says: str
) -> None:
    with faults.begin("jwks.certificate", {"wrong": wrong}, lease=10), pytest.raises(httpx.ConnectError, match=says):
        front.get("/jwks")
    assert front.get("/jwks").status_code == 200


def test_a_verifier_that_is_pointed_at_it_verifies_and_feels_the_fault(second: Proxy, target: Target) -> None:
    resource = target.resource[0]
    client = second.faults()
    policy = VerifierPolicy(target.issuer.url, resource.audience, ("RS256",))
    with JwksCache(f"{second.url}/jwks", target.issuer.url) as cache:
        assert Verifier(policy, cache).verify(genuine_token(target))["iss"] == target.issuer.url
    with (
        client.begin("jwks.status", {}, lease=10),
        JwksCache(f"{second.url}/jwks", target.issuer.url) as cache,
        pytest.raises(VerificationError, match="key_unavailable"),
    ):
        Verifier(policy, cache).verify(genuine_token(target))
    client.close()


def test_after_its_agent_is_killed_everything_passes_within_two_seconds(front: Proxy) -> None:
    client = front.faults()
    held = client.begin("jwks.status", {}, lease=30)
    assert front.get("/jwks").status_code == 503
    front.agent().kill()
    with pytest.raises(httpx.ConnectError):
        front.get("/jwks")
    assert until(front.passes, 10) < 2
    assert front.get("/jwks").status_code == 200
    assert client.active() == []
    until(lambda: held.lost, 5)
    assert "has been started again: everything passes through" in front.log.read_text()
    client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(proxies: Raise, target: Target, number: signal.Signals) -> None:
    before = set(Path("/tmp").glob("jwtdrill-proxy-*"))
    proxy = proxies(target.issuer.url)
    [folder] = set(Path("/tmp").glob("jwtdrill-proxy-*")) - before
    assert folder.stat().st_mode & 0o777 == 0o700
    client = proxy.faults()
    held = client.begin("jwks.hang", {}, lease=30)
    family = psutil.Process(proxy.process.pid).children(recursive=True)
    os.kill(proxy.process.pid, number)
    assert proxy.process.wait(10) == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    assert not psutil.wait_procs(family, timeout=3)[1]
    assert until(lambda: not folder.exists(), 5) < 3
    assert not processes_naming(str(folder))
    with pytest.raises(httpx.ConnectError):
        proxy.get("/jwks")
    with pytest.raises(MissingPartError):
        held.end()
    assert "Traceback" not in proxy.log.read_text()
    client.close()


def test_ipv6(proxies: Raise, target: Target) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on loopback")
    proxy = proxies(target.issuer.url, host="[::1]")
    assert proxy.get(METADATA).json()["jwks_uri"] == f"{proxy.url}/jwks"
    assert proxy.get("/jwks").json()["keys"]


def test_an_issuer_that_does_not_answer_yet_is_a_502_until_it_does(
    proxies: Raise, keys: dict[Algorithm, SigningKey]
) -> None:
    port = free_port()
    proxy = proxies(f"http://127.0.0.1:{port}", "--route", "jwks=/keys")
    log = proxy.log.read_text()
    assert f"nobody listens at 127.0.0.1:{port}" in log
    assert "only what --route names" in log
    assert "jwks: /keys" in log
    assert proxy.get("/keys").status_code == 502
    code = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
    (proxies.folder / "keys").write_text("{}")
    server = subprocess.Popen(
        ["python3", "-c", code, str(port)], cwd=proxies.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: proxy.get("/keys").status_code == 200, 10)
    finally:
        server.kill()
        server.wait()
    assert proxy.get("/keys").status_code == 502


def test_the_token_file_is_made_for_its_owner_alone_and_kept(proxies: Raise, front: Proxy, target: Target) -> None:
    assert front.token_file.stat().st_mode & 0o777 == 0o600
    assert len(front.token_file.read_text()) >= 32
    own = proxies.folder / "own.token"
    own.touch(mode=0o600)
    own.write_text("chosen by somebody\n")
    proxy = proxies(target.issuer.url, "--control-token", str(own))
    client = FaultClient(f"http://{proxy.control}", "chosen by somebody")
    assert client.active() == []
    assert own.read_text() == "chosen by somebody\n"
    client.close()


def test_control_for_other_machines_says_that_the_token_goes_in_plain_http(proxies: Raise, target: Target) -> None:
    control = f"0.0.0.0:{free_port()}"
    proxy = proxies(target.issuer.url, "--control", control)
    [line] = [line for line in proxy.log.read_text().splitlines() if "plain http" in line]
    assert control in line


Spoil = Callable[[Path], list[str | Path]]


def _occupied(option: str) -> Spoil:
    def options(folder: Path) -> list[str | Path]:
        return [option, (folder / "occupied").read_text()]

    return options


def _written(option: str, text: str, mode: int = 0o600, *more: str) -> Spoil:
    def options(folder: Path) -> list[str | Path]:
        path = folder / "written"
        path.write_text(text)
        path.chmod(mode)
        return [option, path, *(str(folder / name) if name.endswith(".pem") else name for name in more)]

    return options


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_occupied("--listen"), "--listen 127.0.0.1:{port}: Address already in use"),
        (_occupied("--control"), "--control 127.0.0.1:{port}: Address already in use"),
        (lambda _: ["--listen", "127.0.0.1:29", "--control", "127.0.0.1:29"], "--control 127.0.0.1:29: is where"),
        (lambda _: ["--listen", "8443"], "--listen '8443': give an address and a port"),
        (lambda _: ["--listen", "127.0.0.1:99999"], "--listen '127.0.0.1:99999': give an address"),
        (lambda _: ["--listen", "no-such-host.invalid:8443"], "--listen no-such-host.invalid:8443: "),
        (lambda _: ["--control", "http://127.0.0.1:1"], "--control 'http://127.0.0.1:1': give an address"),
        (lambda _: ["--upstream", "idp.example"], "--upstream must be an http or https URL, not 'idp.example'"),
        (lambda _: ["--public", "ftp://idp.example"], "--public must be an http or https URL"),
        (lambda _: ["--route", "jwks"], "--route 'jwks': give a name and a path"),
        (lambda _: ["--route", "jwks=keys"], "--route 'jwks=keys': give a name and a path"),
        (lambda _: ["--route", "keys=/keys"], "--route 'keys=/keys': keys is what other faults begin with"),
        (lambda f: ["--cert", f / "none.pem"], "none.pem: cannot be read: No such file or directory"),
        (lambda f: ["--cert", f], "cannot be read: Is a directory"),
        (_written("--cert", "no certificate"), "written: holds no certificate in PEM with its own key"),
        (lambda f: ["--cert", f / "ca.pem"], "ca.pem: holds no certificate in PEM with its own key"),
        (lambda f: ["--ca", f / "none.pem"], "none.pem: cannot be read: No such file or directory"),
        (_written("--ca", "no certificate"), "written: holds no certificate in PEM"),
        (lambda f: ["--authority", f / "authority.pem"], "--authority: without --cert there is no certificate"),
        (_written("--authority", "x", 0o600, "--cert", "server.pem"), "written: holds no certificate in PEM with its"),
        (
            lambda f: ["--cert", f / "server.pem", "--authority", f / "stranger.pem"],
            "stranger.pem: did not issue the certificate in",
        ),
        (_written("--control-token", "a-token", 0o644), "written: others may read it: chmod 600"),
        (_written("--control-token", " \n"), "written: is empty: remove it, and one is made"),
        (lambda f: ["--control-token", f], "cannot be read: Is a directory"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_touched(
    proxies: Raise, tmp_path: Path, spoil: Spoil, message: str
) -> None:
    for name in ("ca.pem", "server.pem", "authority.pem"):
        (tmp_path / name).write_bytes((proxies.folder / name).read_bytes())
    (tmp_path / "stranger.pem").write_bytes(self_signed("stranger", authority=True).pem)
    before = set(Path("/tmp").glob("jwtdrill-proxy-*"))
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        (tmp_path / "occupied").write_text(f"127.0.0.1:{port}")
        done = subprocess.run(
            [
                *(BIN / "jwtdrill", "proxy", "--upstream", "http://127.0.0.1:1"),
                *("--listen", f"127.0.0.1:{free_port()}", "--control", f"127.0.0.1:{free_port()}"),
                *("--control-token", tmp_path / "new.token", *spoil(tmp_path)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert message.format(port=port) in done.stderr
    assert not (tmp_path / "new.token").exists()
    assert set(Path("/tmp").glob("jwtdrill-proxy-*")) <= before
