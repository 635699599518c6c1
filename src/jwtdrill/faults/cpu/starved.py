"""A process gets little CPU: an overloaded machine, a noisy neighbour, a limit that is too tight."""

import asyncio
import subprocess
import sys
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.processes.pidfiles import process_of
from jwtdrill.processes.throttle import take_back

_END_SECONDS = 2.0


@dataclass
class Starved:
    """`process`: whose; `share`: of one CPU that is left to it. stop: by stopping and continuing it, as is done anyway
    where no cgroup can be made.

    A guard does it, and takes it back when the agent ends; a process that is started again meanwhile is let be.
    """

    process: str
    share: Annotated[float, Field(ge=0.01, le=0.95)] = 0.1
    stop: bool = False
    _guard: Any = field(default=None, init=False, repr=False)

    blast_radius: ClassVar[str] = "the one process that is starved, and whoever waits for its answers"
    after_effect: ClassVar[AfterEffect] = AfterEffect("until it has worked off what has piled up", seconds=10)

    @property
    def place(self) -> str | None:
        """That process."""
        return f"cpu.{self.process}"

    def check(self, site: Site) -> None:
        """Raises BadInputError for a process that is not ours, or does not run."""
        if process_of(site.process(self.process).pid_file) is None:
            raise BadInputError(f"process {self.process!r} does not run")

    async def apply(self, site: Site) -> None:
        """Have the guard begin. Raises BadInputError when it cannot."""
        victim = process_of(site.process(self.process).pid_file)
        if victim is None:
            raise BadInputError(f"process {self.process!r} does not run")
        argv = ["-m", "jwtdrill.processes.throttle", str(victim.pid), str(self.share), str(self._notes(site))]
        guard = subprocess.Popen(  # noqa: S603, ASYNC220 - our own module; not killed with us: it has to tidy up
            [sys.executable, *argv, *(["--stop"] if self.stop else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._guard = guard
        assert guard.stdout is not None
        if not await asyncio.to_thread(guard.stdout.readline):
            raise BadInputError(f"process {self.process!r} cannot be starved: it has ended, or is another user's")

    async def undo(self, site: Site) -> None:
        """Have the guard take it back; where it is gone or does not, do that in its stead."""
        guard, self._guard = self._guard, None
        if guard is not None:
            await asyncio.to_thread(_end, guard)
        await asyncio.to_thread(take_back, self._notes(site))

    def _notes(self, site: Site) -> Path:
        return (site.folder / f"cpu-{self.process}.json").absolute()


def _end(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin is not None
    assert guard.stdout is not None
    guard.stdin.close()
    try:
        guard.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()
    guard.stdout.close()
