"""A herd is ended at the same moment, also those that will not; it is over when all of them are up and well."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.fault import Managed, Site
from jwtdrill.faults.load import thundering_herd
from jwtdrill.faults.registry import make_fault
from jwtdrill.processes.pidfiles import write_pid
from jwtdrill.processes.supervisor import free_port

OBEYS = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PAIR = {"processes": ["a", "b"]}


def start(folder: Path, name: str, code: str = OBEYS) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    write_pid(folder / f"{name}.pid", process.pid)
    return process


@pytest.fixture
def herd(tmp_path: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    made = [start(tmp_path, "a"), start(tmp_path, "b", DEAF)]
    yield made
    for process in made:
        process.kill()
        process.communicate()


def site(folder: Path, health: str = "") -> Site:
    return Site(folder=folder, processes={name: Managed(folder / f"{name}.pid", health) for name in "ab"})


def test_all_are_ended_also_one_that_does_not_obey(tmp_path: Path, herd: list["subprocess.Popen[bytes]"]) -> None:
    fault = make_fault("load.thundering_herd", PAIR)
    fault.check(site(tmp_path))
    began = time.monotonic()
    asyncio.run(fault.apply(site(tmp_path)))
    assert time.monotonic() - began < 4
    assert [process.wait(1) for process in herd] == [-15, -9]
    with pytest.raises(BadInputError, match="process 'a' does not run"):
        fault.check(site(tmp_path))


def test_it_is_not_over_before_all_are_up(
    tmp_path: Path, herd: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thundering_herd, "_UP_SECONDS", 0.3)
    fault = make_fault("load.thundering_herd", PAIR)
    asyncio.run(fault.apply(site(tmp_path)))
    with pytest.raises(MissingPartError, match="process 'a' is not up again"):
        asyncio.run(fault.undo(site(tmp_path)))
    herd.append(start(tmp_path, "a"))
    with pytest.raises(MissingPartError, match="process 'b' is not up again"):
        asyncio.run(fault.undo(site(tmp_path)))
    herd.append(start(tmp_path, "b"))
    asyncio.run(make_fault("load.thundering_herd", PAIR).undo(site(tmp_path)))


def test_up_is_not_well(tmp_path: Path, herd: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thundering_herd, "_UP_SECONDS", 0.3)
    sick = site(tmp_path, f"http://127.0.0.1:{free_port()}/healthz")
    with pytest.raises(MissingPartError, match="process 'a' is not up again"):
        asyncio.run(make_fault("load.thundering_herd", PAIR).undo(sick))


@pytest.mark.parametrize(
    ("processes", "message"),
    [([], "parameter processes"), (["c"], "process 'c' is not ours: this agent may touch a, b")],
)
def test_a_herd_that_is_not_ours_is_refused(tmp_path: Path, processes: list[str], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        make_fault("load.thundering_herd", {"processes": processes}).check(site(tmp_path))
