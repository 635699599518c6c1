"""A process whose clock is moved is no slower for it, and its other clock stays right."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from jwtdrill.processes.clocks import movable_clock, set_offset

WAIT_BESIDE_A_BUSY_THREAD = textwrap.dedent("""
    import select, sys, threading, time
    sys.setswitchinterval(0.2)
    def busy():
        while True: pass
    threading.Thread(target=busy, daemon=True).start()
    poll, waits = select.epoll(), []
    for _ in range(3):
        began = time.monotonic()
        poll.poll(0.001)
        waits.append(time.monotonic() - began)
    print(sorted(waits)[1], time.time(), time.monotonic())
""")


def answers(clock: Path | None, offset: float = 0) -> tuple[float, float, float]:
    moved = movable_clock(clock) if clock else {}
    if clock and offset:
        set_offset(clock, offset)
    done = subprocess.run(
        [sys.executable, "-c", WAIT_BESIDE_A_BUSY_THREAD],
        env={**os.environ, **moved},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    waited, wall, monotonic = map(float, done.stdout.split())
    return waited, wall, monotonic


def test_a_thread_waits_for_the_lock_instead_of_asking_for_it_without_end(tmp_path: Path) -> None:
    """The busy thread keeps Python's lock for its 0.2 s; else those who wait spin, and every answer is late."""
    waited, _, _ = answers(tmp_path / "clock")
    assert waited > 0.15


def test_the_wall_clock_moves_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    _, wall, monotonic = answers(tmp_path / "clock", -600)
    _, wall_after, monotonic_after = answers(None)
    assert 595 < wall_after - wall < 620
    assert 0 < monotonic_after - monotonic < 20
