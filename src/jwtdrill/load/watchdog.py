"""Watches the process that makes the load: how late its event loop wakes, and what it gets of its core."""

import os
import time
from pathlib import Path

import gevent

from jwtdrill.load.fitness import BUSY_CORE, Fitness

_BEAT = 0.02  # seconds between looks at the loop
_SAMPLE = 1.0  # seconds between looks at the core
_STEP = 0.05  # seconds by which the wall clock may drift from the monotonic one in a sample


class Watchdog:
    """Notes what it sees in `fitness` until it is stopped."""

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End it."""
        self._greenlet.kill()

    def _run(self) -> None:
        sampled = _Sample()
        while True:
            begin = time.perf_counter()
            gevent.sleep(_BEAT)
            self._fitness.woke(time.perf_counter() - begin - _BEAT)
            if time.perf_counter() - sampled.at >= _SAMPLE:
                sampled = self._look(sampled)

    def _look(self, before: "_Sample") -> "_Sample":
        now = _Sample()
        seconds, ran = now.at - before.at, now.ran - before.ran
        fitness = self._fitness
        fitness.watched_seconds += seconds
        fitness.ran += ran
        fitness.waited += now.waited - before.waited
        if ran > BUSY_CORE * seconds:
            fitness.busy_seconds += seconds
        step = (now.wall - before.wall) - (now.monotonic - before.monotonic)
        if abs(step) > max(_STEP, abs(fitness.clock_step)):
            fitness.clock_step = step
        return now


class _Sample:
    """Clocks, and what the thread of the event loop ran and waited for a CPU, in seconds."""

    def __init__(self) -> None:
        self.at = time.perf_counter()
        self.wall, self.monotonic = time.time(), time.monotonic()
        self.ran = time.thread_time()
        self.waited = _waited()


def _waited() -> float:
    """Seconds that this process's first thread was ready to run and did not; 0 where the kernel does not say."""
    try:
        # Linux, Documentation/scheduler/sched-stats: time on the CPU, time on the run queue, in ns; and slices
        return int(Path(f"/proc/{os.getpid()}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
