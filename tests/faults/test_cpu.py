"""A starved process gets the share of CPU that was asked for, and all of it again whatever is killed meanwhile."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.faults.cpu.starved import Starved
from jwtdrill.faults.fault import Managed, Site
from jwtdrill.faults.registry import make_fault
from jwtdrill.processes.pidfiles import process_of, write_pid
from jwtdrill.processes.throttle import Notes, take_back

CGROUPS = Path("/sys/fs/cgroup")


def can_make_groups() -> bool:
    """Whether a cgroup with a quota can be made here."""
    probe = CGROUPS / "cpu" / f"jwtdrill-probe-{os.getpid()}"
    try:
        probe.mkdir()
        made = (probe / "cpu.cfs_quota_us").exists()
        probe.rmdir()
    except OSError:
        return False
    return made


WAYS = [True, pytest.param(False, marks=pytest.mark.skipif(not can_make_groups(), reason="no cgroup can be made"))]


@pytest.fixture
def victim() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def site(victim: "subprocess.Popen[bytes]", tmp_path: Path) -> Site:
    write_pid(tmp_path / "v.pid", victim.pid)
    return Site(folder=tmp_path, processes={"v": Managed(tmp_path / "v.pid")})


def share(pid: int, seconds: float = 1.0) -> float:
    """Of a CPU that the process gets."""
    process = psutil.Process(pid)
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def stays_running(pid: int) -> bool:
    looks = []
    for _ in range(20):
        looks.append(psutil.Process(pid).status() != psutil.STATUS_STOPPED)
        time.sleep(0.02)
    return all(looks)


def group_of(pid: int) -> bool:
    return any(CGROUPS.glob(f"cpu/**/jwtdrill-{pid}")) or any(CGROUPS.glob(f"**/jwtdrill-{pid}/cpu.max"))


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def starved(stop: bool, share: float = 0.1) -> Starved:
    fault = make_fault("cpu.starved", {"process": "v", "share": share, "stop": stop})
    assert isinstance(fault, Starved)
    return fault


def guard_of(site: Site) -> int:
    notes = Notes.read(site.folder / "cpu-v.json")
    assert notes is not None
    return notes.guard


def whole_again(pid: int, site: Site) -> bool:
    return stays_running(pid) and not group_of(pid) and not (site.folder / "cpu-v.json").exists()


@pytest.mark.parametrize("stop", WAYS)
@pytest.mark.parametrize("wanted", [0.05, 0.1])
def test_it_gets_its_share_until_undone(
    victim: "subprocess.Popen[bytes]", site: Site, stop: bool, wanted: float
) -> None:
    fault = starved(stop, wanted)
    fault.check(site)
    asyncio.run(fault.apply(site))
    try:
        assert group_of(victim.pid) is not stop
        assert 0.005 < share(victim.pid, 2) < wanted * 1.6  # on a busy machine it gets less
    finally:
        asyncio.run(fault.undo(site))
    assert whole_again(victim.pid, site)
    until(lambda: share(victim.pid, 0.5) > 0.2, 20)
    asyncio.run(fault.undo(site))
    assert whole_again(victim.pid, site)


@pytest.mark.parametrize("stop", WAYS)
def test_the_guard_takes_it_back_when_the_agent_is_killed(
    victim: "subprocess.Popen[bytes]", site: Site, tmp_path: Path, stop: bool
) -> None:
    code = (
        "import asyncio, sys, time; from pathlib import Path; from jwtdrill.faults.cpu.starved import Starved;"
        "from jwtdrill.faults.fault import Managed, Site; folder = Path(sys.argv[1]);"
        "site = Site(folder=folder, processes={'v': Managed(folder / 'v.pid')});"
        "asyncio.run(Starved('v', 0.05, stop=sys.argv[2] == 'True').apply(site));"
        "print('on', flush=True); time.sleep(60)"
    )
    agent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(stop)], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"on\n"
    guard = psutil.Process(guard_of(site))
    agent.kill()
    agent.wait()
    agent.stdout.close()
    until(lambda: not guard.is_running(), 2)
    assert whole_again(victim.pid, site)


@pytest.mark.parametrize("stop", WAYS)
def test_a_fresh_fault_takes_it_back_where_the_guard_was_killed_too(
    victim: "subprocess.Popen[bytes]", site: Site, stop: bool
) -> None:
    fault = starved(stop, 0.02)
    asyncio.run(fault.apply(site))
    if stop:
        until(lambda: psutil.Process(victim.pid).status() == psutil.STATUS_STOPPED)
    os.kill(guard_of(site), 9)
    asyncio.run(starved(stop).undo(site))
    assert whole_again(victim.pid, site)
    asyncio.run(fault.undo(site))


@pytest.mark.parametrize("stop", WAYS)
def test_a_fresh_fault_ends_a_guard_that_another_agent_began(
    victim: "subprocess.Popen[bytes]", site: Site, stop: bool
) -> None:
    fault = starved(stop)
    asyncio.run(fault.apply(site))
    guard = psutil.Process(guard_of(site))
    guard.suspend()  # it hangs, and will not notice that its agent is gone
    asyncio.run(starved(stop).undo(site))
    assert guard.status() == psutil.STATUS_ZOMBIE
    assert whole_again(victim.pid, site)
    asyncio.run(fault.undo(site))


@pytest.mark.parametrize("stop", WAYS)
def test_a_victim_that_ends_takes_the_guard_and_the_group_with_it(
    victim: "subprocess.Popen[bytes]", site: Site, stop: bool
) -> None:
    fault = starved(stop)
    asyncio.run(fault.apply(site))
    guard = psutil.Process(guard_of(site))
    victim.kill()
    victim.wait()
    until(lambda: guard.status() == psutil.STATUS_ZOMBIE)  # its parent are we
    assert not group_of(victim.pid)
    asyncio.run(fault.undo(site))


def test_children_that_it_has_meanwhile_come_back_too(site: Site, tmp_path: Path) -> None:
    if not can_make_groups():
        pytest.skip("no cgroup can be made")
    code = (
        "import subprocess, time; time.sleep(1); child = subprocess.Popen(['sleep', '60']);"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    write_pid(tmp_path / "v.pid", parent.pid)
    home = Path(f"/proc/{parent.pid}/cgroup").read_text()
    fault = starved(False)
    asyncio.run(fault.apply(site))
    child = int(parent.stdout.readline())
    assert "jwtdrill-" in Path(f"/proc/{child}/cgroup").read_text()
    asyncio.run(fault.undo(site))
    assert Path(f"/proc/{child}/cgroup").read_text() == home
    assert not group_of(parent.pid)
    os.kill(child, 9)
    parent.wait()
    parent.stdout.close()


def test_a_process_that_is_not_ours_or_does_not_run_is_refused(
    victim: "subprocess.Popen[bytes]", site: Site, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="process 'other' is not ours: this agent may touch v"):
        make_fault("cpu.starved", {"process": "other"}).check(site)
    victim.kill()
    victim.wait()
    with pytest.raises(BadInputError, match="process 'v' does not run"):
        starved(False).check(site)


def test_a_pid_that_was_given_to_another_is_not_believed(victim: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    path = tmp_path / "v.pid"
    write_pid(path, victim.pid)
    found = process_of(path)
    assert found is not None
    assert found.pid == victim.pid
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))  # the file is older than the process
    assert process_of(path) is None


@pytest.mark.parametrize("text", ["", "x", "-1", "999999999"])
def test_a_pid_file_that_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.pid").write_text(text)
    assert process_of(tmp_path / "v.pid") is None


def test_notes_that_cannot_be_read_are_nothing_to_take_back(tmp_path: Path) -> None:
    take_back(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"pid": 1')
    take_back(tmp_path / "half.json")
