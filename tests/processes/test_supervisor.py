"""Processes that are to be restarted come back, not without end; what a supervisor says of the others is true."""

import os
import signal
import sys
from pathlib import Path

from jwtdrill.processes.pidfiles import process_of
from jwtdrill.processes.supervisor import Spec, Supervisor

SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")


def kill(supervisor: Supervisor, name: str) -> int:
    process = supervisor.process(name)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return process.pid


def test_a_process_that_is_to_be_restarted_comes_back_and_its_pid_file_with_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Spec("a", SLEEPS, restart=True), Spec("b", SLEEPS))
        old = kill(supervisor, "a")
        assert process_of(supervisor.pid_file("a")) is None
        assert supervisor.dead() == []
        assert supervisor.revive() == ["a"]
        assert supervisor.revive() == []
        found = process_of(supervisor.pid_file("a"))
        assert found is not None
        assert found.pid == supervisor.process("a").pid != old
        assert supervisor.restarts == {"a": 1}
        kill(supervisor, "b")
        assert supervisor.revive() == []
        assert supervisor.dead() == ["b"]
    assert not supervisor.pid_file("a").exists()


def test_one_that_ends_again_and_again_is_given_up(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Spec("a", SLEEPS, restart=True))
        for count in range(1, 6):
            kill(supervisor, "a")
            assert supervisor.revive() == ["a"]
            assert supervisor.restarts == {"a": count}
        kill(supervisor, "a")
        assert supervisor.dead() == ["a"]
        assert supervisor.revive() == []


def test_restarts_of_long_ago_do_not_count(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Spec("a", SLEEPS, restart=True))
        for _ in range(5):
            kill(supervisor, "a")
            supervisor.revive()
        supervisor._restarted["a"][0] -= 61
        kill(supervisor, "a")
        assert supervisor.dead() == []
        assert supervisor.revive() == ["a"]


def test_one_that_is_stopped_is_not_restarted(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(Spec("a", SLEEPS, restart=True))
        supervisor.stop("a")
        assert supervisor.revive() == []
        assert supervisor.dead() == []
