"""Clocks go wrong as they are told to, really, and are right again after the undo."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.faults.clock.base import ClockFault
from jwtdrill.faults.fault import Site
from jwtdrill.faults.registry import FAULTS, make_fault
from jwtdrill.processes.clocks import movable_clock, set_offset

CLOCK_FAULTS: dict[str, dict[str, Any]] = {
    "clock.skew": {"seconds": -30},
    "clock.drift": {"rate": 0.5, "most": 1},
    "clock.step": {"seconds": 60, "after": 0.3},
    "clock.back_step": {"seconds": 60, "after": 0.3},
}


def made(name: str, **params: Any) -> ClockFault:
    fault = make_fault(name, {"clock": "b", **params})
    assert isinstance(fault, ClockFault)
    return fault


def offsets(fault: ClockFault, *elapsed: float) -> list[float]:
    return [fault.offset(seconds) for seconds in elapsed]


def test_every_fault_of_clocks_is_here() -> None:
    assert set(CLOCK_FAULTS) == {name for name, kind in FAULTS.items() if issubclass(kind, ClockFault)}


def test_a_skew_is_always_the_same() -> None:
    assert offsets(made("clock.skew", seconds=-30), 0, 1, 1000) == [-30, -30, -30]


def test_a_drift_grows_up_to_its_most() -> None:
    assert offsets(made("clock.drift", rate=0.1, most=5), 0, 10, 49, 50, 1000) == [0, 1, 4.9, 5, 5]
    assert offsets(made("clock.drift", rate=-2, most=5), 0, 1, 2.5, 9) == [0, -2, -5, -5]
    assert offsets(made("clock.drift", rate=0, most=5), 0, 1000) == [0, 0]


def test_a_step_comes_at_its_time() -> None:
    assert offsets(made("clock.step", seconds=-60, after=7), 0, 6.9, 7, 1000) == [0, 0, -60, -60]
    assert offsets(made("clock.step", seconds=60, after=0), 0) == [60]


def test_a_back_step_is_ahead_first_and_right_then() -> None:
    assert offsets(made("clock.back_step", seconds=60, after=7), 0, 6.9, 7, 1000) == [60, 60, 0, 0]


@pytest.mark.parametrize("name", CLOCK_FAULTS)
def test_when_it_is_settled_it_changes_no_more(name: str) -> None:
    fault = made(name, **CLOCK_FAULTS[name])
    assert fault.offset(fault.settled) == fault.offset(fault.settled + 1000)
    assert not fault.settled or fault.offset(fault.settled * 0.9) != fault.offset(fault.settled)


@pytest.mark.parametrize("name", CLOCK_FAULTS)
def test_the_file_says_what_the_fault_does_and_the_undo_ends_it(name: str, tmp_path: Path) -> None:
    """Also one that comes while the clock is still being moved, twice, and from an agent that knows nothing."""
    clock = tmp_path / "b"
    site = Site(clocks={"b": clock})

    async def check() -> None:
        fault = made(name, **CLOCK_FAULTS[name])
        await fault.apply(site)
        assert float(clock.read_text()) == fault.offset(0)
        await asyncio.sleep(0.8)
        assert float(clock.read_text()) == pytest.approx(fault.offset(0.8), abs=0.2)
        await fault.undo(site)
        await asyncio.sleep(0.6)
        assert clock.read_text() == "+0\n"
        await fault.undo(site)
        set_offset(clock, 5)
        await made(name, **CLOCK_FAULTS[name]).undo(site)
        assert clock.read_text() == "+0\n"

    asyncio.run(check())


def test_a_clock_stays_as_it_is_when_it_has_settled(tmp_path: Path) -> None:
    """The fault is over only by its undo: nothing goes on to write there."""
    clock = tmp_path / "b"

    async def check() -> None:
        fault = made("clock.drift", rate=10, most=3)
        await fault.apply(Site(clocks={"b": clock}))
        await asyncio.sleep(0.8)
        assert clock.read_text() == "+3\n"
        written = clock.stat().st_mtime_ns
        await asyncio.sleep(0.6)
        assert clock.stat().st_mtime_ns == written

    asyncio.run(check())


def test_what_cannot_be_written_for_a_moment_is_written_a_moment_later(tmp_path: Path) -> None:
    folder = tmp_path / "clocks"
    folder.mkdir()

    async def check() -> None:
        await made("clock.step", seconds=60, after=1).apply(Site(clocks={"b": folder / "b"}))
        folder.rename(tmp_path / "away")
        await asyncio.sleep(0.6)
        (tmp_path / "away").rename(folder)
        await asyncio.sleep(0.8)
        assert (folder / "b").read_text() == "+60\n"

    asyncio.run(check())


TELL_THE_TIME = """
import select, time
while True:
    select.select([], [], [], 0.1)  # no sleep: it fails under libfaketime
    print(time.time() - time.monotonic(), flush=True)  # the monotonic clock is everybody's, and not moved
"""
BETWEEN = tuple[float, float]
_NOTICED = 2.2  # seconds: a process looks at its file once in one to two
FELT: list[tuple[str, dict[str, Any], BETWEEN, BETWEEN]] = [  # the least and the most in four seconds from then
    ("clock.skew", {"seconds": -30.25}, (-30.3, -30.2), (-30.3, -30.2)),
    ("clock.drift", {"rate": 1, "most": 4}, (-0.1, 2.6), (3.9, 4.1)),
    ("clock.step", {"seconds": -60, "after": 3}, (-60.1, -59.9), (-0.1, 0.1)),
    ("clock.back_step", {"seconds": 60, "after": 3}, (-0.1, 0.1), (59.9, 60.1)),
]


class Process:
    """A process with a clock that can be moved, and by how much it is ahead of ours."""

    def __init__(self, clock: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TELL_THE_TIME],
            env={**os.environ, **movable_clock(clock)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def listen(self, seconds: float) -> list[float]:
        assert self.process.stdout is not None
        end, told = time.monotonic() + seconds, []
        while time.monotonic() < end:
            told.append(float(self.process.stdout.readline()) - (time.time() - time.monotonic()))
        return told

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def test_running_processes_have_that_time(tmp_path: Path) -> None:
    """One under each fault, for six seconds, after which it has the right one."""

    async def check(name: str, params: dict[str, Any], least: BETWEEN, most: BETWEEN) -> None:
        site = Site(clocks={"b": tmp_path / name})
        process = Process(tmp_path / name)
        try:
            await asyncio.to_thread(process.listen, 0.1)  # until it runs
            fault = made(name, **params)
            await fault.apply(site)
            await asyncio.to_thread(process.listen, _NOTICED)
            told = await asyncio.to_thread(process.listen, 4)
            assert least[0] <= min(told) <= least[1], name
            assert most[0] <= max(told) <= most[1], name
            await fault.undo(site)
            told = await asyncio.to_thread(process.listen, _NOTICED)
            assert abs(told[-1]) < 0.1, name
        finally:
            process.end()

    async def check_all() -> None:
        await asyncio.gather(*(check(*felt) for felt in FELT))

    assert {name for name, *_ in FELT} == set(CLOCK_FAULTS)
    asyncio.run(check_all())


def test_each_clock_is_a_place_of_its_own() -> None:
    assert made("clock.drift", clock="a", rate=1, most=1).place == made("clock.skew", clock="a", seconds=1).place
    assert made("clock.skew", clock="a", seconds=1).place != made("clock.skew", clock="b", seconds=1).place


def test_tokens_that_the_issuer_dated_wrongly_live_on() -> None:
    assert made("clock.skew", clock="issuer", seconds=1).after_effect.times == ("token_lifetime",)
    assert made("clock.skew", clock="verifier-b", seconds=1).after_effect.times == ()


def test_a_clock_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BadInputError, match="clock 'b' cannot be moved: this agent can move a"):
        made("clock.step", seconds=1).check(Site(clocks={"a": Path("a")}))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("clock.skew", {"seconds": 86401}),
        ("clock.drift", {"rate": 11, "most": 1}),
        ("clock.drift", {"rate": 1, "most": 0}),
        ("clock.step", {"seconds": 1, "after": 3601}),
        ("clock.back_step", {"seconds": -1}),
    ],
)
def test_what_has_no_bound_is_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="parameter"):
        made(name, **params)
