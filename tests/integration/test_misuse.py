"""Bad traffic, starved and restarted processes on the standing lab; and an agent that is killed in the middle of it."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.integration.conftest import Commands, processes_naming, until

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.client import FaultClient
from jwtdrill.flows.call import Call
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.processes.pidfiles import process_of
from jwtdrill.processes.throttle import Notes
from jwtdrill.target.model import Target

pytestmark = pytest.mark.integration


@pytest.fixture
def agent(target: Target) -> Iterator[FaultClient]:
    client = FaultClient.of(target)
    yield client
    until(lambda: answers(client), 10)
    client.end_all()
    client.close()


def answers(client: FaultClient) -> bool:
    try:
        client.leases()
    except MissingPartError:
        return False
    return True


def status_at(target: Target, name: str, token: str) -> int:
    resource = next(r for r in target.resource if r.label == name)
    request = Call(resource).request(token)
    try:
        return httpx.get(request.url, headers=dict(request.headers)).status_code
    except httpx.TransportError:
        return 0


def counts(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        found[row["case"], row["expected"], row["verdict"]] += row["count"]
    return found


def pid_of(lab: Commands, name: str) -> int:
    found = process_of(lab.folder / f"pids/{name}.pid")
    return found.pid if found is not None else 0


def traffic(lab: Commands) -> list[str]:
    return [line for line in processes_naming(str(lab.folder)) if "jwtdrill.probe.traffic" in line]


@pytest.mark.parametrize(
    ("fault", "params", "expected"),
    [
        ("misuse.forged", {}, {"bad_signature": "rejected", "alg_none": "rejected", "hs256_pem": "rejected"}),
        ("misuse.forged", {"stolen_key": True, "rejected_after": 3600}, {"stolen_key": "accepted"}),
        ("misuse.unknown_kid", {}, {"unknown_kid": "rejected"}),
        ("misuse.expired", {}, {"expired": "rejected"}),
        ("misuse.wrong_audience", {}, {"wrong_audience": "rejected"}),
        ("misuse.over_scoped", {}, {"over_scoped": "accepted"}),
        ("misuse.replay", {}, {"valid": "accepted", "replayed": "rejected"}),
        ("misuse.spray", {}, {"sprayed": "accepted"}),
        ("misuse.refresh_reuse", {}, {"valid": "accepted", "refresh_reused": "rejected"}),
        ("clock.skewed_claims", {"seconds": 30}, {"skewed_claims": "rejected"}),
        ("clock.skewed_claims", {"seconds": -30}, {"skewed_claims": "accepted"}),
    ],
)
def test_the_lab_does_what_each_kind_of_traffic_should_meet_with(
    lab: Commands, target: Target, agent: FaultClient, fault: str, params: dict[str, object], expected: dict[str, str]
) -> None:
    if fault == "misuse.replay" and not any(resource.one_time for resource in target.resource):
        with pytest.raises(BadInputError, match="add one_time = true"):
            agent.check(fault, params)
        return
    agent.check(fault, params)
    held = agent.begin(fault, {"rate": 30, **params}, lease=10)
    time.sleep(1.5)
    seen = counts(held.end())
    assert expected.items() <= {case: wanted for case, wanted, _ in seen}.items()
    assert all(wanted == did for _, wanted, did in seen), seen
    assert 20 <= seen.total() <= 90
    assert not traffic(lab)


def test_prometheus_counts_the_traffic_while_it_is_in_force(target: Target, agent: FaultClient) -> None:
    assert target.watch.prometheus is not None
    assert target.watch.file_sd is not None
    query = 'sum(jwtdrill_requests_total{case="unknown_kid", expected="rejected", verdict="rejected"})'

    def counted() -> float:
        answer = httpx.get(f"{target.watch.prometheus}/api/v1/query", params={"query": query}).json()
        return float(answer["data"]["result"][0]["value"][1]) if answer["data"]["result"] else 0.0

    held = agent.begin("misuse.unknown_kid", {}, lease=10)
    try:
        assert [path.name for path in target.watch.file_sd.iterdir()] == ["traffic-unknown_kid.yml"]
        until(lambda: counted() > 20, 15)
    finally:
        held.end()
    assert not list(target.watch.file_sd.iterdir())


def test_a_herd_is_restarted_at_once_and_is_up_when_the_fault_is_over(
    lab: Commands, target: Target, agent: FaultClient
) -> None:
    before = {name: pid_of(lab, name) for name in ("verifier-a", "verifier-b")}
    held = agent.begin("load.thundering_herd", {"processes": list(before)}, lease=10)
    held.end()
    after = {name: pid_of(lab, name) for name in before}
    assert all(after.values())
    assert not set(before.values()) & set(after.values())
    began = [psutil.Process(pid).create_time() for pid in after.values()]
    assert abs(began[0] - began[1]) < 1
    token = genuine_token(target)
    for name in after:
        assert status_at(target, name, token) == 200
    status = lab.run("jwtdrill", "lab", "status")
    assert status.returncode == 0
    assert "verifier-a 1 times, verifier-b 1 times" in status.stderr


@pytest.mark.parametrize("stop", [True, False])
def test_a_starved_verifier_is_slow_and_then_is_not(
    lab: Commands, target: Target, agent: FaultClient, stop: bool
) -> None:
    token = genuine_token(target)

    def slowest() -> float:
        began, slow = time.monotonic(), 0.0
        while time.monotonic() - began < 1.5:
            before = time.monotonic()
            assert status_at(target, "verifier-a", token) == 200
            slow = max(slow, time.monotonic() - before)
        return slow

    held = agent.begin("cpu.starved", {"process": "verifier-a", "share": 0.02, "stop": stop}, lease=10)
    assert slowest() > 0.05
    held.end()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/jwtdrill-{pid_of(lab, 'verifier-a')}"))
    assert psutil.Process(pid_of(lab, "verifier-a")).status() != psutil.STATUS_STOPPED


def test_an_agent_that_is_killed_leaves_no_traffic_no_stopped_process_and_no_group(
    lab: Commands, target: Target, agent: FaultClient
) -> None:
    assert target.watch.file_sd is not None
    held = [
        agent.begin("misuse.forged", {"rate": 50}, lease=60),
        agent.begin("misuse.spray", {"rate": 50}, lease=60),
        agent.begin("cpu.starved", {"process": "verifier-a", "share": 0.05, "stop": True}, lease=60),
        agent.begin("cpu.starved", {"process": "verifier-b", "share": 0.05}, lease=60),
    ]
    noted = [Notes.read(lab.folder / f"cpu-verifier-{letter}.json") for letter in "ab"]
    assert len(traffic(lab)) == 2
    os.kill(pid_of(lab, "fault-agent"), signal.SIGKILL)

    def clean() -> bool:
        victims = [psutil.Process(pid_of(lab, f"verifier-{letter}")).status() for letter in "ab"]
        groups = [Path(note.group) for note in noted if note is not None and note.group]
        guards = [line for line in processes_naming(str(lab.folder)) if "jwtdrill.processes.throttle" in line]
        return not (traffic(lab) or psutil.STATUS_STOPPED in victims or guards or any(map(Path.exists, groups)))

    assert until(clean, 5) < 2
    until(lambda: answers(agent) and not agent.leases(), 5)
    assert clean()
    assert not list(target.watch.file_sd.iterdir())
    token = genuine_token(target)
    assert [status_at(target, name, token) for name in ("verifier-a", "verifier-b")] == [200, 200]
    for one in held:
        one.end()


def test_an_agent_that_is_killed_comes_back_in_two_seconds_and_undoes_what_was_in_force(
    lab: Commands, target: Target, agent: FaultClient
) -> None:
    """Meanwhile connections to what is proxied are refused; verifiers go on with the keys on hand."""
    jwks = agent_jwks(lab)
    token = genuine_token(target)
    held = [
        agent.begin("jwks.status", {"status": 500}, lease=60),
        agent.begin("clock.skew", {"clock": "verifier-b", "seconds": -30}, lease=60),
    ]
    assert httpx.get(jwks).status_code == 500
    until(lambda: status_at(target, "verifier-b", genuine_token(target)) == 401, 5)
    before = pid_of(lab, "fault-agent")
    os.kill(before, signal.SIGKILL)
    killed = time.monotonic()
    refused, last_refused, wrong, verified = 0, 0.0, [], set()
    while time.monotonic() < killed + 4:
        try:
            status = httpx.get(jwks).status_code
        except httpx.ConnectError:
            refused, last_refused = refused + 1, time.monotonic() - killed
        else:
            wrong += [status] if status != 200 else []
        verified.add(status_at(target, "verifier-a", token))
        time.sleep(0.02)
    assert refused > 0
    assert last_refused < 2
    assert not wrong  # from the first answer on it passes through
    assert verified == {200}
    assert pid_of(lab, "fault-agent") not in (0, before)
    assert (lab.folder / "verifier-b.clock").read_text() == "+0\n"
    until(lambda: not agent.leases(), 3)
    until(lambda: status_at(target, "verifier-b", genuine_token(target)) == 200, 5)
    metrics = httpx.get(f"{target.break_.proxy}/metrics").text
    assert not [line for line in metrics.splitlines() if line.startswith("jwtdrill_fault_active{") and "1.0" in line]
    assert "fault-agent" in lab.run("jwtdrill", "lab", "status", "--json").stdout
    for one in held:
        one.end()


def agent_jwks(lab: Commands) -> str:
    """Where verifiers fetch keys: by way of the agent."""
    text = (lab.folder / "verifier-a.json").read_text()
    return next(line.split('"')[3] for line in text.splitlines() if '"jwks_uri"' in line)
