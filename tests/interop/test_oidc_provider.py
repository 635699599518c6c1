"""An issuer that we did not write: oidc-provider, as npm has it, in the version that the lock file names.

Behind it stands a verifier of the lab, for it issues tokens and guards nothing. What is said here of oidc-provider was
seen with this version; where it changes, these tests say so.
"""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomlkit
from tests.integration.conftest import Commands, until

from jwtdrill.lab.settings import SETTINGS_VARIABLE, KeySource, VerifierSettings, write_settings
from jwtdrill.processes.supervisor import free_port, port_in_use
from jwtdrill.tokens.keys import Algorithm, SigningKey

HERE = Path(__file__).parent / "oidc_provider"
AUDIENCE, SCOPE = "https://orders.example", "orders:read"
LEAST_NODE = 20
IN_CLIENT_ASSERTIONS = "token endpoint, client authentication"


def why_not() -> str:
    node = shutil.which("node")
    if node is None:
        return "node is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < LEAST_NODE:
        return f"node {version.strip()} is older than {LEAST_NODE}"
    return "" if (HERE / "node_modules").exists() else "its packages are not installed: run make interop"


pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@dataclass(frozen=True)
class Provider:
    """The running provider, and the target file that was made for it."""

    commands: Commands
    target: Path
    secret: str


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("oidc")
    commands = Commands(folder / "lab")
    key, secret = SigningKey.generate(Algorithm.ES256, "c1"), secrets.token_hex(20)
    port, verifier_port = free_port(), free_port()
    (folder / "client.pem").write_bytes(key.pem())
    (folder / "secret").write_text(secret)
    told = {"port": port, "jwk": key.public_jwk(), "secret": secret, "audience": AUDIENCE, "scope": SCOPE}
    issuer = f"http://127.0.0.1:{port}"
    settings = folder / "verifier.json"
    write_settings(
        settings,
        VerifierSettings(
            *("orders", verifier_port, issuer, KeySource(f"{issuer}/jwks", "orders", 5, 3600, 30)),
            *(AUDIENCE, SCOPE, "/orders", ("orders",), ("RS256",), 30, 60, 0),
        ),
    )
    node = subprocess.Popen(["node", "server.mjs", json.dumps(told)], cwd=HERE, stderr=subprocess.DEVNULL)
    verifier = None
    try:
        until(lambda: port_in_use(port), 20)
        verifier = subprocess.Popen(
            [sys.executable, "-m", "jwtdrill.lab.serve", "verifier", str(verifier_port)],
            env={**commands.env, SETTINGS_VARIABLE: str(settings)},
        )
        until(lambda: port_in_use(verifier_port), 20)
        target = folder / "staging.toml"
        made = commands.run("jwtdrill", "init", issuer, "--out", target, "--environment", "test")
        assert made.returncode == 0, made.stderr
        _fill_in(target, verifier_port)
        yield Provider(commands, target, secret)
    finally:
        for process in (node, verifier):
            if process is not None:
                process.terminate()
                process.wait()


def _fill_in(target: Path, verifier_port: int) -> None:
    """What a user fills in after `jwtdrill init`."""
    content = tomlkit.parse(target.read_text())
    assert content["client"][0]["auth"] == "private_key_jwt"
    assert content["client"][0]["scope"] == SCOPE
    client = {**content["client"][0], "id": "orders", "kid": "c1"}
    partner = {"id": "partner", "auth": "client_secret_basic", "secret": "file:secret", "scope": SCOPE}
    content["client"] = [client, partner, {**client, "dpop": True}]
    url = f"http://127.0.0.1:{verifier_port}/orders"
    content["resource"] = [{"name": "orders", "url": url, "audience": AUDIENCE, "scope": SCOPE, "dpop": True}]
    content["limits"] = {"rate": 5000, "tokens": 5000}
    target.write_text(tomlkit.dumps(content))


def test_the_preflight_finds_what_is_so(provider: Provider) -> None:
    done = provider.commands.run("jwtdrill", "check", provider.target, "--json")
    items = {item["name"]: item for item in json.loads(done.stdout)}
    assert [name for name, item in items.items() if item["status"] == "fail"] == ["key set: cache headers"]
    assert items["introspection tells good from bad"]["status"] == "cannot tell"  # it does not introspect JWTs
    for name in (
        "token for orders by client_credentials",
        "token for partner by client_credentials",
        "token for orders by client_credentials with a proof",
        "orders accepts a good token",
    ):
        assert items[name]["status"] == "pass", items[name]
    assert "token for orders by jwt_bearer" not in items  # it does not offer the grant


def test_the_attack_finds_what_this_version_lets_in_and_nothing_else(provider: Provider) -> None:
    """An unencoded payload, which RFC 7797 section 7 forbids."""
    done = provider.commands.run("jwtdrill", "attack", provider.target, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 1
    assert {(entry["resource"], entry["case"], entry["outcome"]) for entry in content["findings"]} == {
        (IN_CLIENT_ASSERTIONS, "b64_false", "false_accept"),
    }
    assert not content["cannot_tell"]
    places = {tally["resource"] for tally in content["tallies"]}
    assert places >= {"orders", "orders, proof", "token endpoint, proof", IN_CLIENT_ASSERTIONS}
    unsigned = [entry for entry in content["not_run"] if "[[signer]]" in entry["reason"]]
    assert {entry["resource"] for entry in unsigned} == {"orders"}
    assert provider.secret not in done.stdout + done.stderr
    assert "eyJ" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "users"), [("verification", ()), ("possession", ()), ("issuance", ("ClientCredentialsIssuance",))]
)
def test_load_is_answered_rightly(provider: Provider, tmp_path: Path, name: str, users: tuple[str, ...]) -> None:
    done = provider.commands.run(
        *("locust", "-f", f"loadtests/{name}.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", provider.target, "-u", "5", "-r", "100", "-t", "4s", "--throughput", "5"),
        *("--report", tmp_path / "run.json", *users),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert sum(tally["count"] for tally in tallies) > 30
    assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]


def changed(provider: Provider, name: str, **client: str) -> Path:
    """The same target with one client alone."""
    content = tomlkit.parse(provider.target.read_text())
    content["client"] = [client]
    path = provider.target.with_name(name)
    path.write_text(tomlkit.dumps(content))
    return path


@pytest.mark.slow
def test_refresh_tokens_are_rotated_and_a_stolen_one_ends_its_family(provider: Provider, tmp_path: Path) -> None:
    issuer = tomlkit.parse(provider.target.read_text())["issuer"]["url"]
    fetch = f"import httpx; print(httpx.get('{issuer}/a-refresh-token').text)"
    command = f'command:{sys.executable} -c "{fetch}"'
    target = changed(provider, "mobile.toml", id="mobile", auth="none", refresh_token=command)
    done = provider.commands.run(
        *("locust", "-f", "loadtests/lifecycle.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", target, "-u", "3", "-r", "10", "-t", "6s", "--throughput", "5"),
        *("--report", tmp_path / "run.json", "Refreshing"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    seen = {(tally["flow"], tally["case"], tally["verdict"]) for tally in tallies}
    assert seen == {("refresh", "valid", "accepted"), ("refresh", "refresh_reused", "rejected")}


OPAQUE = {"id": "partner", "auth": "client_secret_basic", "secret": "file:secret", "scope": SCOPE}


@pytest.mark.slow
def test_opaque_tokens_are_introspected_and_refused_once_they_are_revoked(provider: Provider, tmp_path: Path) -> None:
    target = changed(provider, "opaque.toml", **OPAQUE)
    content = tomlkit.parse(target.read_text())
    content["client"][0]["params"] = {"resource": f"{AUDIENCE}/opaque"}
    content["resource"][0]["dpop"] = False
    target.write_text(tomlkit.dumps(content))
    items = {i["name"]: i for i in json.loads(provider.commands.run("jwtdrill", "check", target, "--json").stdout)}
    assert items["introspection tells good from bad"]["status"] == "pass"
    assert items["token claims"]["status"] == "cannot tell"
    done = provider.commands.run("jwtdrill", "attack", target, "--json")
    answer = json.loads(done.stdout)
    assert not answer["findings"]
    assert set(answer["cannot_tell"]) == {"orders"}  # whose verifier reads JWTs alone
    told = {(t["resource"], t["case"]): t["verdict"] for t in answer["tallies"]}
    assert told["introspection endpoint", "valid"] == "accepted"
    assert told["introspection endpoint", "revoked"] == "rejected"
    assert provider.secret not in done.stdout + done.stderr
    for name in ("introspection", "lifecycle"):
        done = provider.commands.run(
            *("locust", "-f", f"loadtests/{name}.py", "--headless", "--only-summary", "--metrics-port", "0"),
            *("--target", target, "-u", "3", "-r", "10", "-t", "4s", "--throughput", "5"),
            *("--report", tmp_path / f"{name}.json", *(("Revoking",) if name == "lifecycle" else ())),
        )
        assert done.returncode in (0, 3), done.stdout + done.stderr
        tallies = json.loads((tmp_path / f"{name}.json").read_text())["tallies"]
        assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]
        assert len({tally["flow"] for tally in tallies}) >= 2
