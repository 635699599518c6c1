"""The lab comes up whole, is found by others, and goes without a trace, however it goes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import TypeAdapter
from tests.integration.conftest import Commands, processes_naming, until

from jwtdrill.lab.control import lab_state
from jwtdrill.lab.daemon import LabState
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import load_target, tls_context

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
        assert httpx.get(resource.url, verify=tls_context(target)).status_code == 401
    family = [psutil.Process(state.pid), *psutil.Process(state.pid).children(recursive=True)]
    listening = [c for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    for name in ("signer.pem", "orders-client.pem", "device-1.pem", "edge-secret", "admin-token", "control-token"):
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
    state = commands.folder / "state.json"
    state.write_text(f'{{"pid": {os.getpid()}, "started": {time.time() - 1e6}, "target": "x"}}')
    assert lab_state() is None
    assert commands.run("jwtdrill", "lab", "down").returncode == 2  # it bears no mark of a lab: it is not removed
    assert state.exists()
    state.unlink()
    assert commands.run("jwtdrill", "lab", "down").returncode == 0


@pytest.mark.parametrize("command", [("up", "--without-alerts"), ("down",)])
def test_a_folder_that_is_no_labs_is_never_removed(tmp_path: Path, command: tuple[str, ...]) -> None:
    precious = tmp_path / "home" / "letters" / "one.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("keep")
    done = Commands(tmp_path / "home").run("jwtdrill", "lab", *command)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is no lab's folder, so it is left alone" in done.stderr
    assert precious.read_text() == "keep"


STATUS = ("jwtdrill", "lab", "status")


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def open_to_all(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


@pytest.mark.parametrize("place", [link, open_to_all, Path.touch])
def test_a_folder_that_another_could_have_made_is_refused(tmp_path: Path, place: Callable[[Path], None]) -> None:
    folder = tmp_path / "lab"
    place(folder)
    if folder.is_dir():
        (folder / "target.toml").write_text('environment = "lab"\n[issuer]\nurl = "http://x"\n')
        victim = subprocess.Popen(["sleep", "60"])
        state = LabState(victim.pid, psutil.Process(victim.pid).create_time(), "/evil/target.toml")
        (folder / "state.json").write_bytes(TypeAdapter(LabState).dump_json(state))
    else:
        victim = None
    for command in (("jwtdrill", "lab", "up", "--without-alerts"), ("jwtdrill", "lab", "down"), STATUS):
        done = Commands(folder).run(*command)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert folder.exists()
    assert Commands(folder).run("jwtdrill", "canary", "lab").returncode == 2
    if victim is not None:
        assert victim.poll() is None  # what a foreign file names is no process to end
        victim.kill()
        victim.wait()


def test_of_two_labs_that_start_at_once_one_stands(commands: Commands) -> None:
    starting = [commands.start("jwtdrill", "lab", "up", "--without-alerts") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in starting]
    assert sorted(process.returncode for process in starting) == [0, 2], said
    assert any("a lab is running already, or starting" in text for text in said)
    assert commands.run("jwtdrill", "lab", "status").returncode == 0
    assert commands.run("jwtdrill", "lab", "down").returncode == 0


def test_status_names_a_process_that_died(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(commands.folder))
    assert commands.run("jwtdrill", "lab", "up", "--without-alerts").returncode == 0
    state = lab_state()
    assert state is not None
    serving = [p for p in psutil.Process(state.pid).children() if "issuer" in p.cmdline()]
    serving[0].kill()  # with its keys: it is not started again
    until(lambda: commands.run("jwtdrill", "lab", "status").returncode == 1, 10)
    assert "ended by themselves: issuer" in commands.run("jwtdrill", "lab", "status").stderr
    assert commands.run("jwtdrill", "lab", "down").returncode == 0


def test_a_verifier_that_dies_is_started_again_a_few_times(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(commands.folder))
    assert commands.run("jwtdrill", "lab", "up", "--without-alerts").returncode == 0
    pid_file = commands.folder / "pids/verifier-a.pid"

    def restarts() -> int:
        state = lab_state()
        return state.restarts.get("verifier-a", 0) if state is not None else -1

    for count in range(1, 6):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        until(lambda count=count: restarts() == count, 5)  # type: ignore[misc]
        assert commands.run("jwtdrill", "lab", "status").returncode == 0
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    until(lambda: commands.run("jwtdrill", "lab", "status").returncode == 1, 10)
    status = commands.run("jwtdrill", "lab", "status")
    assert "started again: verifier-a 5 times" in status.stderr
    assert "ended by themselves: verifier-a" in status.stderr
    assert commands.run("jwtdrill", "lab", "down").returncode == 0
