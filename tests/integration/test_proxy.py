"""`jwtdrill proxy` before an issuer: all passes through, what a drill breaks is broken, and what dies comes back."""

import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.integration.conftest import Commands, until

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.client import FaultClient
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.processes.supervisor import free_port, port_in_use
from jwtdrill.target.load import load_target
from jwtdrill.tokens.certificates import issued, self_signed
from jwtdrill.verify import JwksCache, Verifier, VerifierPolicy
from jwtdrill.verify.errors import VerificationError

pytestmark = pytest.mark.integration
AUTHORITY = self_signed("authority", authority=True)
TRUST = ssl.create_default_context(cadata=AUTHORITY.certificate_pem.decode())


class Standing:
    """A proxy that stands."""

    def __init__(self, lab: Commands, folder: Path, upstream: str, *more: str | Path) -> None:
        self.port, self.control = free_port(), free_port()
        self.token = folder / f"token-{self.port}"
        self.process = lab.start(
            *("jwtdrill", "proxy", "--upstream", upstream, "--listen", f"127.0.0.1:{self.port}"),
            *("--control", f"127.0.0.1:{self.control}", "--control-token", self.token, *more),
        )
        until(lambda: port_in_use(self.control) and port_in_use(self.port), 30)
        self.agent = FaultClient(f"http://127.0.0.1:{self.control}", self.token.read_text())

    def answers(self) -> bool:
        try:
            self.agent.leases()
        except MissingPartError:
            return False
        return True

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.agent.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture(scope="module")
def issuer(lab: Commands) -> str:
    return load_target(str(lab.target)).issuer.url


@pytest.fixture
def stand(lab: Commands, tmp_path: Path) -> Iterator[Callable[..., Standing]]:
    standing: list[Standing] = []

    def make(upstream: str, *more: str | Path) -> Standing:
        standing.append(Standing(lab, tmp_path, upstream, *more))
        return standing[-1]

    yield make
    for one in standing:
        if one.process.poll() is None:
            one.end()


def certificates(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1, and of the authority that issued it, with their keys."""
    own, authority = folder / "proxy.pem", folder / "authority.pem"
    own.write_bytes(issued("127.0.0.1", AUTHORITY).pem)
    authority.write_bytes(AUTHORITY.pem)
    return own, authority


def test_everything_passes_and_the_metadata_leads_through_it_for_keys_alone(
    stand: Callable[..., Standing], issuer: str, tmp_path: Path
) -> None:
    own, authority = certificates(tmp_path)
    proxy = stand(issuer, "--cert", own, "--authority", authority)
    base = f"https://127.0.0.1:{proxy.port}"
    with httpx.Client(verify=TRUST, base_url=base) as client:
        told = client.get("/.well-known/openid-configuration").json()
        real = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
        assert told == {**real, "jwks_uri": f"{base}/jwks"}
        assert client.get("/jwks?x=1").json() == httpx.get(f"{issuer}/jwks").json()
        assert client.head("/jwks").status_code == 200
        refused = client.post("/token", data={"grant_type": "client_credentials"})
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert client.get("/nothing-here").status_code == 404

        held = proxy.agent.begin("jwks.status", {}, 10)
        assert [client.get(path).status_code for path in ("/jwks", "/.well-known/openid-configuration")] == [503, 200]
        held.end()
        held = proxy.agent.begin("all.status", {"status": 502}, 10)
        assert [client.get(path).status_code for path in ("/jwks", "/revoked")] == [200, 502]
        held.end()
        held = proxy.agent.begin("jwks.certificate", {"wrong": "expired"}, 10)
        with pytest.raises(httpx.TransportError):
            client.get("/jwks")
        with pytest.raises(httpx.ConnectError, match="expired"):
            httpx.get(f"{base}/jwks", verify=TRUST)
        held.end()
        assert client.get("/jwks").status_code == 200


def test_a_verifier_that_is_pointed_at_it_verifies_and_notices_what_is_broken(
    stand: Callable[..., Standing], issuer: str, lab: Commands
) -> None:
    proxy = stand(issuer)
    target = load_target(str(lab.target))
    with JwksCache(f"http://127.0.0.1:{proxy.port}/jwks", issuer) as cache:
        policy = VerifierPolicy(issuer, target.resource[0].audience, ("RS256",), 2)
        assert Verifier(policy, cache).verify(genuine_token(target))
    with (
        proxy.agent.begin("jwks.refused", {}, 10),
        JwksCache(f"http://127.0.0.1:{proxy.port}/jwks", issuer) as cache,
        pytest.raises(VerificationError),
    ):
        Verifier(policy, cache).verify(genuine_token(target))


def test_a_proxy_before_a_proxy_speaks_https_to_its_upstream(
    stand: Callable[..., Standing], issuer: str, tmp_path: Path
) -> None:
    own, authority = certificates(tmp_path)
    inner = stand(issuer, "--cert", own)
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.certificate_pem)
    outer = stand(f"https://127.0.0.1:{inner.port}", "--ca", tmp_path / "ca.pem")
    assert httpx.get(f"http://127.0.0.1:{outer.port}/jwks").json() == httpx.get(f"{issuer}/jwks").json()
    assert authority.exists()


def test_when_its_agent_is_killed_it_comes_back_and_passes_everything_through(
    stand: Callable[..., Standing], issuer: str
) -> None:
    proxy = stand(issuer)
    held = proxy.agent.begin("jwks.status", {}, 60)
    assert httpx.get(f"http://127.0.0.1:{proxy.port}/jwks").status_code == 503
    [agent] = [
        child
        for child in psutil.Process(proxy.process.pid).children(recursive=True)
        if "jwtdrill.faults.agent" in child.cmdline()
    ]
    agent.kill()
    agent.wait(5)

    def passes() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{proxy.port}/jwks").status_code == 200
        except httpx.TransportError:
            return False

    assert until(passes, 10) < 5
    until(lambda: proxy.answers() and not proxy.agent.active(), 5)
    held.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_no_process_and_no_port_is_left(
    stand: Callable[..., Standing], issuer: str, number: signal.Signals
) -> None:
    proxy = stand(issuer)
    family = psutil.Process(proxy.process.pid).children(recursive=True)
    proxy.end(number)
    assert not [one for one in psutil.wait_procs(family, timeout=8)[1] if "jwtdrill" in " ".join(one.cmdline())]
    assert not port_in_use(proxy.port)
    assert not port_in_use(proxy.control)


def test_stop_ends_every_fault_and_outlives_a_kill_until_resumed(lab: Commands) -> None:
    target = load_target(str(lab.target))
    agent = FaultClient.of(target)
    agent.begin("clock.skew", {"clock": "verifier-b", "seconds": 0.5}, 60)
    stopped = lab.run("jwtdrill", "stop", str(lab.target))
    assert (stopped.returncode, stopped.stdout) == (0, "")
    assert "stopped: clock.skew" in stopped.stderr
    assert not agent.active()
    refused = lab.run("jwtdrill", "gameday", "jwks_outage", "--target", str(lab.target), "--yes")
    assert refused.returncode == 2
    assert "allow faults again with `jwtdrill resume`" in refused.stderr.splitlines()[-1]
    resumed = lab.run("jwtdrill", "resume", str(lab.target))
    assert resumed.returncode == 0
    agent.begin("clock.skew", {"clock": "verifier-b", "seconds": 0.1}, 5).end()
    agent.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--upstream", "idp"], "--upstream must be an http or https URL"),
        (["--upstream", "http://127.0.0.1:1", "--listen", "nowhere"], "--listen 'nowhere': give an address and a port"),
        (["--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:{taken}"], "end what listens there, or give"),
        (["--upstream", "http://127.0.0.1:1", "--control", "127.0.0.1:{taken}"], "end what listens there, or give"),
        (["--upstream", "http://127.0.0.1:1", "--cert", "/none.pem"], "/none.pem: no certificate with its key"),
        (["--upstream", "http://127.0.0.1:1", "--route", "x"], "--route 'x': give a name and a path"),
    ],
)
def test_bad_input_is_one_line(lab: Commands, issuer: str, tmp_path: Path, arguments: list[Any], message: str) -> None:
    taken = issuer.rpartition(":")[2]
    given = [str(argument).format(taken=taken) for argument in arguments]
    defaults = ["--listen", f"127.0.0.1:{free_port()}", "--control", f"127.0.0.1:{free_port()}"]
    names = {name for name in given if name.startswith("--")}
    for name, value in zip(defaults[::2], defaults[1::2], strict=True):
        given += [] if name in names else [name, value]
    done: subprocess.CompletedProcess[str] = lab.run(
        "jwtdrill", "proxy", *given, "--control-token", tmp_path / "token", timeout=30
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]
