"""The lab sees misuse of good tokens, and whoever sends good ones copes with a resource that takes each once."""

import contextlib
import json
import re
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.integration.conftest import Commands, missing_programs, until

from jwtdrill.faults.client import FaultClient
from jwtdrill.flows.token import signer_of
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.processes.supervisor import free_port
from jwtdrill.target.model import Resource, Target
from jwtdrill.tokens.reading import claims_of

pytestmark = pytest.mark.integration


def resource(target: Target, *, one_time: bool = False) -> Resource:
    return next(one for one in target.resource if one.one_time == one_time)


def sent(place: Resource, token: str, **headers: str) -> int:
    return httpx.get(place.url, headers={"Authorization": f"Bearer {token}", **headers}).status_code


def counted(target: Target, name: str, matching: str = "") -> float:
    text = httpx.get(resource(target).metrics or "").text
    return sum(float(v) for v in re.findall(rf"^jwt_{name}_total\{{.*{matching}.*\}} (\S+)$", text, re.MULTILINE))


def test_a_token_is_good_once_where_the_target_file_says_so(target: Target) -> None:
    token = genuine_token(target)
    once, often = resource(target, one_time=True), resource(target)
    before = counted(target, "verification", 'reason="replayed"')
    assert [sent(place, token) for place in (often, once, once, often)] == [200, 200, 401, 200]
    assert counted(target, "verification", 'reason="replayed"') == before + 1


def test_one_token_from_many_addresses_is_suspected(target: Target) -> None:
    token, before = genuine_token(target), counted(target, "token_leak_suspicion")
    for number in range(8):
        assert sent(resource(target), token, **{"X-Forwarded-For": f"203.0.113.{number}"}) == 200
    assert counted(target, "token_leak_suspicion") == before + 1


def test_a_token_with_more_scope_than_the_lab_knows_is_let_in_and_counted(target: Target) -> None:
    signer, claims = signer_of(target), claims_of(genuine_token(target))
    assert signer is not None
    assert claims is not None
    before = counted(target, "token_excess_scope")
    token = signer.mint_payload({**claims, "scope": f"{claims['scope']} admin", "jti": "excess"})
    assert [sent(resource(target), token) for _ in range(2)] == [200, 200]
    assert counted(target, "token_excess_scope") == before + 1


def test_the_preflight_sends_it_a_token_that_nobody_has_used(lab: Commands, target: Target) -> None:
    items = json.loads(lab.run("jwtdrill", "check", lab.target, "--json").stdout)
    label = resource(target, one_time=True).label
    of_it = {item["name"]: item["status"] for item in items if item["name"].startswith(f"{label} ")}
    assert set(of_it.values()) == {"pass"}
    assert len(of_it) == 2


def test_the_canary_leaves_it_out(lab: Commands, target: Target) -> None:
    port = free_port()
    canary = lab.start("jwtdrill", "canary", lab.target, "--port", str(port), piped=False)
    before = counted(target, "verification", 'reason="replayed"')

    def sung() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx.TransportError:
            return ""

    until(lambda: 'resource="verifier-b",result="success"' in sung(), 20)
    time.sleep(2.5)
    canary.terminate()
    canary.wait(10)
    assert resource(target, one_time=True).label not in sung()
    assert counted(target, "verification", 'reason="replayed"') == before


@pytest.mark.parametrize(("tokens", "called"), [("client", False), ("fresh", True)])
def test_load_calls_it_with_fresh_tokens_alone(
    lab: Commands, target: Target, tmp_path: Path, tokens: str, called: bool
) -> None:
    done = lab.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--target", lab.target, "--metrics-port", "0"),
        *("-u", "5", "-r", "5", "-t", "5s", "--throughput", "10", "--tokens", tokens, "--report", tmp_path),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: the machine was too busy to measure latencies
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {tally["verdict"] for tally in tallies} == {"accepted"}
    assert (resource(target, one_time=True).label in {tally["resource"] for tally in tallies}) == called


@pytest.mark.slow
@pytest.mark.skipif(missing_programs(), reason="prometheus and libfaketime are not installed")
@pytest.mark.parametrize("fault", ["jwks.stale", "jwks.hang"])
def test_keys_that_grow_old_raise_their_alert(target: Target, fault: str) -> None:
    """A cache on the way that serves an old set, and an endpoint that never answers."""
    token, over = genuine_token(target), threading.Event()

    def use() -> None:  # only a verifier in use counts
        while not over.wait(0.1):
            with contextlib.suppress(httpx.TimeoutException):  # it waits for keys when those on hand are dropped
                sent(resource(target), token)

    def stale() -> bool:
        alerts = httpx.get(f"{target.watch.alertmanager}/api/v2/alerts").json()
        return any(a["labels"]["alertname"] == "JwtKeySetStale" and a["status"]["state"] == "active" for a in alerts)

    agent = FaultClient.of(target)
    held = agent.begin(fault, {}, 30)
    user = threading.Thread(target=use)
    user.start()
    try:
        until(stale, 30)
        held.end()
        until(lambda: not stale(), 60)
    finally:
        over.set()
        user.join()
        held.end()
        agent.close()
