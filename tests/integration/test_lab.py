"""The lab comes up whole, is found by others, and goes without a trace, however it goes."""

import os
import signal
import time

import httpx
import psutil
import pytest
from tests.integration.conftest import Commands, processes_naming, until

from jwtdrill.lab.control import lab_state
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import load_target

pytestmark = pytest.mark.integration


def ports_of(pid: int) -> set[int]:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return {
        connection.laddr.port
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def gone(commands: Commands, ports: set[int]) -> bool:
    return not processes_naming(str(commands.folder)) and not any(
        connection.laddr.port in ports and connection.status == psutil.CONN_LISTEN
        for connection in psutil.net_connections("tcp")
    )


def test_up_is_whole_on_loopback_and_down_leaves_nothing(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(commands.folder))
    assert commands.run("jwtdrill", "lab", "status").returncode == 1
    up = commands.run("jwtdrill", "lab", "up", "--profile", "drill")
    assert up.returncode == 0, up.stderr
    state = lab_state()
    assert state is not None
    target = load_target("lab")
    endpoints = discover(target)
    assert httpx.get(endpoints.jwks).json()["keys"]
    assert len(target.resource) >= 2
    for resource in target.resource:
        assert httpx.get(resource.url).status_code == 401
    family = [psutil.Process(state.pid), *psutil.Process(state.pid).children(recursive=True)]
    listening = [c for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    for name in ("signer.pem", "client.pem", "admin-token", "control-token"):
        assert (commands.folder / "keys" / name).stat().st_mode & 0o077 == 0
    ports = ports_of(state.pid)
    assert commands.run("jwtdrill", "lab", "status").stdout == f"{commands.target}\n"
    again = commands.run("jwtdrill", "lab", "up")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "a lab is running already" in again.stderr
    assert commands.run("jwtdrill", "lab", "down").returncode == 0
    assert gone(commands, ports)
    assert not commands.folder.exists()
    assert commands.run("jwtdrill", "lab", "down").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_lab_leaves_no_process_and_no_port(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(commands.folder))
    assert commands.run("jwtdrill", "lab", "up", "--without-alerts").returncode == 0
    state = lab_state()
    assert state is not None
    ports = ports_of(state.pid)
    os.kill(state.pid, number)
    until(lambda: gone(commands, ports), 10)
    assert commands.run("jwtdrill", "lab", "status").returncode == 1


def test_a_state_file_of_another_process_is_not_believed(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(commands.folder))
    commands.folder.mkdir(exist_ok=True)
    text = f'{{"pid": {os.getpid()}, "started": {time.time() - 1e6}, "target": "x"}}'
    (commands.folder / "state.json").write_text(text)
    assert lab_state() is None
    assert commands.run("jwtdrill", "lab", "down").returncode == 0
