"""All processes of a service are restarted at the same moment, with nothing in their caches."""

import asyncio
import contextlib
import time
from typing import Annotated, ClassVar

import httpx
import psutil
from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.fault import AfterEffect, Managed, Site
from jwtdrill.processes.pidfiles import process_of

_LOOK = 0.05
_GRACE = 2.0  # seconds in which they may end by themselves
_UP_SECONDS = 4.0
_TIMEOUT = 1.0


@dataclass
class ThunderingHerd:
    """`processes`: which; whoever keeps them running starts them again."""

    processes: Annotated[tuple[str, ...], Field(min_length=1)]

    blast_radius: ClassVar[str] = "all who call these processes, until they run again, and then whom they ask for keys"
    after_effect: ClassVar[AfterEffect] = AfterEffect("until they run again and their caches are filled", seconds=10)
    place: ClassVar[str | None] = "load.herd"

    def check(self, site: Site) -> None:
        """Raises BadInputError for a process that is not ours, or does not run."""
        for name in self.processes:
            if process_of(site.process(name).pid_file) is None:
                raise BadInputError(f"process {name!r} does not run")

    async def apply(self, site: Site) -> None:
        """End them all at once, those by force that take their time."""
        found = [process_of(site.process(name).pid_file) for name in self.processes]
        running = [process for process in found if process is not None]
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline = time.monotonic() + _GRACE
        while any(map(_runs, running)) and time.monotonic() < deadline:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(_LOOK)
        for process in filter(_runs, running):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    async def undo(self, site: Site) -> None:
        """Nothing to take back but the wait. Raises MissingPartError that names who is not up yet."""
        deadline = time.monotonic() + _UP_SECONDS
        async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
            for name in self.processes:
                while not await _well(client, site.process(name)):
                    if time.monotonic() > deadline:
                        raise MissingPartError(f"process {name!r} is not up again")
                    await asyncio.sleep(_LOOK)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def _well(client: httpx.AsyncClient, managed: Managed) -> bool:
    if process_of(managed.pid_file) is None:
        return False
    try:
        return not managed.health or (await client.get(managed.health)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
