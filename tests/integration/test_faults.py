"""Faults on the standing lab, under leases that hold whatever becomes of the controller."""

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest
from tests.integration.conftest import status_at, until

from jwtdrill.errors import BadInputError
from jwtdrill.faults.client import FaultClient
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.model import Target

pytestmark = pytest.mark.integration


CONTROLLER = """
import sys, time
from jwtdrill.faults.client import FaultClient
from jwtdrill.target.load import load_target
held = FaultClient.of(load_target(sys.argv[1])).begin("jwks.status", {}, lease=2)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP])
def test_whatever_kills_the_controller_the_fault_ends_within_its_lease(
    target: Target, agent: FaultClient, number: signal.Signals
) -> None:
    controller = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(target.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "held\n"
        time.sleep(3)  # longer than the lease: the heartbeat keeps it alive
        assert [lease["fault"] for lease in agent.active()] == ["jwks.status"]
        os.kill(controller.pid, number)
        assert until(lambda: not agent.active(), 10) <= 3
    finally:
        controller.kill()
        controller.wait()
        assert controller.stdout is not None
        controller.stdout.close()


def test_the_clock_of_one_verifier_moves_and_comes_back(target: Target, agent: FaultClient) -> None:
    held = agent.begin("clock.skew", {"clock": "verifier-b", "seconds": -30}, lease=5)
    until(lambda: status_at(target, "verifier-b", genuine_token(target)) == 401, 5)
    assert status_at(target, "verifier-a", genuine_token(target)) == 200
    held.end()
    until(lambda: status_at(target, "verifier-b", genuine_token(target)) == 200, 5)


def test_a_rotation_without_overlap_refuses_old_tokens_until_undone(target: Target, agent: FaultClient) -> None:
    old = genuine_token(target)
    assert status_at(target, "verifier-a", old) == 200
    held = agent.begin("keys.rotate_without_overlap", {}, lease=10)
    until(lambda: status_at(target, "verifier-a", old) == 401, 10)
    assert status_at(target, "verifier-a", genuine_token(target)) == 200  # the new key is accepted at once
    held.end()
    until(lambda: status_at(target, "verifier-a", old) == 200, 10)


def test_in_a_jwks_outage_tokens_are_accepted_until_the_stale_limit(target: Target, agent: FaultClient) -> None:
    token = genuine_token(target)
    held = agent.begin("jwks.refused", {}, lease=10)
    time.sleep(6)  # past the lifetime of five seconds
    assert status_at(target, "verifier-a", token) == 200
    until(lambda: status_at(target, "verifier-a", token) == 503, 15)
    held.end()
    assert until(lambda: status_at(target, "verifier-a", token) == 200, 10) < 5


def test_two_faults_of_one_clock_are_refused(agent: FaultClient) -> None:
    held = agent.begin("clock.skew", {"clock": "verifier-b", "seconds": 0.1}, lease=5)
    with pytest.raises(BadInputError, match=r"clock\.skew is in force: end it first"):
        agent.begin("clock.skew", {"clock": "verifier-b", "seconds": 0.2}, lease=5)
    held.end()
    held.end()


@pytest.mark.parametrize(
    ("fault", "params", "message"),
    [
        ("jwks.statsu", {}, "unknown fault"),
        ("clock.skew", {"clock": "nobody", "seconds": 1}, "cannot be moved"),
        ("jwks.status", {"status": 200}, "parameter status"),
    ],
)
def test_a_fault_that_cannot_be_leaves_no_lease(
    agent: FaultClient, fault: str, params: dict[str, object], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        agent.begin(fault, params, lease=5)
    assert not agent.active()


def test_the_control_interface_asks_for_its_token(target: Target) -> None:
    assert target.break_.proxy is not None
    for header in ({}, {"Authorization": "Bearer wrong"}):
        assert httpx.get(f"{target.break_.proxy}/leases", headers=header).status_code == 401
        assert httpx.post(f"{target.break_.proxy}/leases", headers=header, json={}).status_code == 401


def test_a_fault_in_force_is_a_metric(target: Target, agent: FaultClient) -> None:
    def value() -> str:
        text = httpx.get(f"{target.break_.proxy}/metrics").text
        return next(line for line in text.splitlines() if line.startswith('jwtdrill_fault_active{fault="jwks.hang"}'))

    held = agent.begin("jwks.hang", {}, lease=5)
    assert value().endswith(" 1.0")
    held.end()
    assert value().endswith(" 0.0")  # the series stays, so that its end is seen
