"""The lab with all its parts: each stands, is watched, tells good tokens from bad ones, and errs in its own way."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import tomlkit
from tests.integration.conftest import Commands, missing_programs, processes_naming, until

from jwtdrill.flows.token_exchange import JWT, TOKEN_EXCHANGE
from jwtdrill.lab.control import lab_state
from jwtdrill.lab.envoy import find_envoy
from jwtdrill.lab.parts import Part
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Resource, Target
from jwtdrill.tokens.keys import SigningKey
from jwtdrill.tokens.minter import Claims, Minter

pytestmark = pytest.mark.integration
PARTS = [part for part in Part if part is not Part.ENVOY or find_envoy() is not None]
LEEWAY, TTL = 2, 5  # seconds, of the drill profile


class Standing:
    """The lab with its parts, spoken to as a client, and as its issuers' administrator."""

    def __init__(self, commands: Commands, target: Target) -> None:
        self.commands = commands
        self.target = target
        self.issuer = str(target.issuer.url)

    def resource(self, name: str) -> Resource:
        [found] = [resource for resource in self.target.resource if resource.name == name]
        return found

    def call(self, name: str, token: str) -> int:
        return httpx.get(self.resource(name).url, headers={"Authorization": f"Bearer {token}"}).status_code

    def minted(self, **times: float) -> str:
        """A token like the issuer's, signed by the key that the target file names."""
        [signer] = self.target.signer
        key = SigningKey.from_pem(self.target.read(signer.key), signer.alg, signer.kid)
        about = {"iss": self.issuer, "sub": "s", "aud": self.resource("verifier-a").audience, "scope": "orders:read"}
        now = time.time()
        claims = about | {"client_id": "orders-client", "jti": str(now), "iat": now, "exp": now + 60} | times
        return Minter(key).mint_payload(claims)

    def granted(self, **form: str) -> httpx.Response:
        partner = ("partner-client", self.target.read_text("file:keys/client-secret"))
        return httpx.post(f"{self.issuer}/token", data={"grant_type": "client_credentials"} | form, auth=partner)

    def token(self) -> str:
        return str(self.granted().json()["access_token"])

    def revoke(self, token: str) -> None:
        partner = ("partner-client", self.target.read_text("file:keys/client-secret"))
        assert httpx.post(f"{self.issuer}/revoke", data={"token": token}, auth=partner).status_code == 200

    def step(self, what: str, kid: str = "", *, url: str = "", secret: str = "admin-token") -> str:
        """A step of a rotation."""
        headers = {"Authorization": f"Bearer {self.target.read_text(f'file:keys/{secret}')}"}
        done = httpx.post(f"{url or self.issuer}/admin/keys/{what}", params={"kid": kid}, headers=headers)
        assert done.status_code == 200, done.text
        return str(done.json()["kid"])

    def metric(self, name: str, start: str) -> float:
        """The sum of the samples whose line begins so."""
        text = httpx.get(str(self.resource(name).metrics)).text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))

    def process(self, *words: str) -> psutil.Process:
        state = lab_state()
        assert state is not None
        children = psutil.Process(state.pid).children()
        [found] = [child for child in children if set(words) <= set(child.cmdline())]
        return found


@pytest.fixture(scope="module")
def standing(commands: Commands) -> Iterator[Standing]:
    watched = () if not missing_programs() else ("--without-alerts",)
    chosen = ("--with", ",".join(PARTS))
    up = commands.run("jwtdrill", "lab", "up", "--profile", "drill", "--time-scale", "60", *watched, *chosen)
    assert up.returncode == 0, up.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWTDRILL_LAB", str(commands.folder))
        yield Standing(commands, load_target("lab"))


def test_all_parts_pass_the_preflight(standing: Standing) -> None:
    done = standing.commands.run("jwtdrill", "check", "lab", "--json")
    items = {item["name"]: item for item in json.loads(done.stdout)}
    failing = {name for name, item in items.items() if item["status"] == "fail"}
    assert failing <= {"key set: cache headers"}  # five seconds are short, and meant to be
    guards = {"gateway", "authorizer", "introspection", "verifier-c"} | ({"envoy"} if Part.ENVOY in PARTS else set())
    for name in guards:
        assert items[f"{name} accepts a good token"]["status"] == "pass"
        assert items[f"{name} refuses bad tokens"]["status"] == "pass"
    assert items["token for partner-idp-client by client_credentials"]["status"] == "pass"


@pytest.mark.skipif(missing_programs(), reason="Prometheus is not installed")
def test_every_part_is_scraped_and_envoy_by_its_own_metrics(standing: Standing) -> None:
    prometheus = str(standing.target.watch.prometheus)
    targets = httpx.get(f"{prometheus}/api/v1/targets?state=active").json()["data"]["activeTargets"]
    scraped = {target["labels"]["job"]: target["health"] for target in targets}
    wanted = {"gateway", "authorizer", "introspection", "partner-issuer", "verifier-c"}
    wanted |= {"envoy"} if Part.ENVOY in PARTS else set()
    assert wanted <= set(scraped)
    assert set(scraped.values()) == {"up"}
    if Part.ENVOY in PARTS:
        assert standing.call("envoy", standing.token()) == 200

        def allowed() -> bool:
            query = {"query": 'envoy_http_jwt_authn_allowed{environment="lab"} > 0'}
            return bool(httpx.get(f"{prometheus}/api/v1/query", params=query).json()["data"]["result"])

        until(allowed, 15)


@pytest.mark.slow
def test_the_attack_holds_at_what_is_ours(standing: Standing, tmp_path: Path) -> None:
    """Envoy's own findings have a test of their own."""
    content = tomlkit.parse(standing.commands.target.read_text())
    content["resource"] = [entry for entry in content["resource"] if entry["name"] != "envoy"]
    target = standing.commands.folder / "ours.toml"
    target.write_text(tomlkit.dumps(content))
    done = standing.commands.run("jwtdrill", "attack", target, "--json", "--wait", "12")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["findings"], answer["cannot_tell"]) == (0, [], {}), done.stdout[-2000:]
    told = {(tally["resource"], tally["case"]): tally["verdict"] for tally in answer["tallies"]}
    for name in ("gateway", "authorizer", "introspection", "verifier-c"):
        assert told[name, "expired_since"] == "rejected"
        assert (f"{name}, proof", "valid") in told
    assert told["introspection", "revoked"] == "rejected"


@pytest.mark.slow
def test_load_is_answered_rightly_everywhere(standing: Standing, tmp_path: Path) -> None:
    done = standing.commands.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", "lab", "-u", "10", "-r", "100", "-t", "5s", "--rate", "80"),
        *("--cases", "valid=8,bad_signature=1,expired=1", "--report", tmp_path / "run.json"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {tally["resource"] for tally in tallies if tally["flow"] == "call"} >= {
        *("gateway", "authorizer", "introspection", "verifier-c")
    }
    assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]


def test_the_gateway_decides_once_for_many_requests_and_passes_them_on(standing: Standing) -> None:
    token = standing.token()
    remembered = 'jwt_verification_duration_seconds_count{alg="RS256",cached="true"'
    before = standing.metric("gateway", remembered)
    assert [standing.call("gateway", token) for _ in range(5)] == [200] * 5
    assert standing.metric("gateway", remembered) == before + 4
    standing.revoke(token)
    until(lambda: standing.call("gateway", token) == 401, 5)


def test_the_authorizer_lets_in_what_has_expired_until_its_answer_is_old(standing: Standing) -> None:
    token = standing.minted(exp=time.time() + 0.5)
    began = time.monotonic()
    assert [standing.call(name, token) for name in ("authorizer", "verifier-a", "gateway")] == [200] * 3
    time.sleep(0.5 + LEEWAY + 0.2)
    answers = {name: standing.call(name, token) for name in ("authorizer", "verifier-a", "gateway")}
    assert answers == {"authorizer": 200, "verifier-a": 401, "gateway": 401}
    until(lambda: standing.call("authorizer", token) == 401, 10)
    assert time.monotonic() - began >= TTL
    assert standing.resource("authorizer").leeway == LEEWAY + TTL


def test_a_revocation_is_felt_at_once_by_who_introspects_and_late_by_the_authorizer(standing: Standing) -> None:
    token = standing.token()
    assert [standing.call(name, token) for name in ("introspection", "authorizer")] == [200, 200]
    standing.revoke(token)
    assert [standing.call(name, token) for name in ("introspection", "authorizer")] == [401, 200]
    until(lambda: standing.call("verifier-a", token) == 401, 5)
    until(lambda: standing.call("authorizer", token) == 401, 10)


@pytest.mark.slow
def test_the_function_starts_cold_after_idle_time(standing: Standing) -> None:
    assert standing.call("authorizer", standing.token()) == 200
    assert standing.metric("authorizer", "jwt_verification_total{") >= 1
    time.sleep(10.5)
    began = time.monotonic()
    assert standing.call("authorizer", standing.token()) == 200
    assert time.monotonic() - began >= 0.15
    assert standing.metric("authorizer", "jwt_verification_total{") == 1
    assert standing.metric("authorizer", "jwt_jwks_fetch_total{") == 1


def test_only_the_third_verifier_waits_for_its_schedule_when_a_key_is_new(standing: Standing) -> None:
    for _ in range(3):  # its schedule may come just then
        standing.step("activate", standing.step("publish"))
        token = standing.token()
        if standing.call("verifier-c", token) == 401:
            break
    else:
        pytest.fail("it fetched the key each time")
    assert [standing.call(name, token) for name in ("verifier-a", "gateway", "introspection")] == [200] * 3
    until(lambda: standing.call("verifier-c", token) == 200, 8)


@pytest.mark.slow
def test_the_brokers_foreign_issuer_rotates_and_goes_away(standing: Standing) -> None:
    [foreign] = standing.target.foreign
    there = foreign.issuer
    key = SigningKey.from_pem(standing.target.read(str(foreign.key)), foreign.alg, foreign.kid)

    def exchanged(token: str) -> tuple[int, str]:
        answer = standing.granted(grant_type=TOKEN_EXCHANGE, subject_token_type=JWT, subject_token=token)
        return answer.status_code, str(answer.json().get("error", ""))

    def of_first_key() -> str:
        return Minter(key).mint(Claims.lasting(60, now=time.time(), iss=there, sub="bob", aud=standing.issuer))

    def granted_there() -> str:
        secret = standing.target.read_text("file:keys/partner-secret")
        answer = httpx.post(
            f"{there}/token", data={"grant_type": "client_credentials"}, auth=("partner-idp-client", secret)
        )
        return str(answer.json()["access_token"])

    assert exchanged(of_first_key()) == exchanged(granted_there()) == (200, "")
    partner = {"url": there, "secret": "partner-admin-token"}
    standing.step("activate", standing.step("publish", **partner), **partner)
    standing.step("remove", key.kid, **partner)
    assert exchanged(granted_there()) == (200, "")  # the new key is fetched for its first token
    assert exchanged(of_first_key()) == (400, "invalid_grant")
    token = granted_there()
    standing.process("issuer", there.rpartition(":")[2]).kill()
    assert exchanged(token) == (200, "")
    until(lambda: exchanged(token) == (503, "temporarily_unavailable"), 25)
    assert standing.granted().status_code == 200


def test_without_the_service_behind_it_a_gateway_says_502_until_it_is_started_again(standing: Standing) -> None:
    token = standing.token()
    standing.process("orders").kill()
    until(lambda: standing.call("gateway", token) == 502, 5)
    assert standing.call("verifier-a", token) == 200
    until(lambda: standing.call("gateway", token) == 200, 10)
    assert "orders 1 times" in standing.commands.run("jwtdrill", "lab", "status").stderr


def test_an_issuer_that_was_killed_stays_away(standing: Standing) -> None:
    """Last but one. It holds its keys in memory: another would be another issuer."""
    standing.process("issuer", standing.issuer.rpartition(":")[2]).kill()
    until(lambda: standing.commands.run("jwtdrill", "lab", "status").returncode == 1, 10)
    status = standing.commands.run("jwtdrill", "lab", "status").stderr
    assert "issuer" in status.partition("ended by themselves: ")[2]


def test_a_killed_lab_takes_its_parts_along(standing: Standing) -> None:
    state = lab_state()
    assert state is not None
    family = psutil.Process(state.pid).children(recursive=True)
    if Part.ENVOY in PARTS:
        assert [process for process in family if process.name() == "envoy"]
    os.kill(state.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert not processes_naming(str(standing.commands.folder))


def test_an_unknown_part_is_one_line(tmp_path: Path) -> None:
    done = Commands(tmp_path / "lab").run("jwtdrill", "lab", "up", "--without-alerts", "--with", "gateway,proxy")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown part 'proxy': choose from envoy, gateway" in done.stderr
    assert not (tmp_path / "lab").exists()


def test_the_help_says_what_each_part_is(tmp_path: Path) -> None:
    shown = " ".join(Commands(tmp_path / "lab").run("jwtdrill", "lab", "up", "--help").stdout.replace("│", " ").split())
    for part in Part:
        assert f"{part}:" in shown
