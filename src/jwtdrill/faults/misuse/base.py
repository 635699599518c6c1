"""What the faults share that are bad traffic: a process that sends it, until undone.

The process ends with the agent, by the kernel's death signal, and by itself at the longest that a fault may last.
"""

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from dataclasses import field, fields
from pathlib import Path
from typing import Any, ClassVar

import psutil
from pydantic.dataclasses import dataclass
from pydantic_core import to_json

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.lease import LONGEST_FAULT
from jwtdrill.flows.misuse import Traffic
from jwtdrill.processes.scraping import announce, announcement
from jwtdrill.processes.supervisor import free_port, launch

_MODULE = "jwtdrill.probe.traffic"
_LOOK = 0.05  # seconds from one look at the process to the next
_STOP_SECONDS = 2.0
_log = logging.getLogger("jwtdrill.faults")


@dataclass(kw_only=True)
class MisuseFault(Traffic):
    """Traffic as a fault: its parameters are those of the traffic."""

    _process: Any = field(default=None, init=False, repr=False)
    _result: Any = field(default=None, init=False, repr=False)
    _rows: Any = field(default_factory=list, init=False, repr=False)

    blast_radius: ClassVar[str] = "the resources that it is sent to: their load, metrics and logs; no good token"
    after_effect: ClassVar[AfterEffect] = AfterEffect("until what is under way has been answered")

    @property
    def place(self) -> str | None:
        """One of a kind at a time."""
        return f"traffic.{self.kind}"

    def check(self, site: Site) -> None:
        """Raises BadInputError with the mend when the target lacks what such traffic is made from."""
        self.places(site.require_target(self.kind))

    async def apply(self, site: Site) -> None:
        """Start the process, and return when it has all that it needs. Raises BadInputError with its last words."""
        target = site.require_target(self.kind)
        self._result = result = self._file(site, ".json")
        result.unlink(missing_ok=True)
        port = free_port()
        order = {
            "kind": self.kind,
            "params": {one.name: getattr(self, one.name) for one in fields(self) if one.init},
            "seconds": LONGEST_FAULT,
            "port": port,
            "result": str(result),
        }
        log = self._file(site, ".log")
        log.unlink(missing_ok=True)
        self._process = launch([sys.executable, "-m", _MODULE, target.path, to_json(order).decode()], log)
        while not result.exists():
            if self._process.poll() is not None:
                raise BadInputError(_last_line(log))
            await asyncio.sleep(_LOOK)
        if target.watch.file_sd is not None:
            announce(target.watch.file_sd, self._name, port)

    async def undo(self, site: Site) -> None:
        """End the process, also one that an agent before us began, and keep what it has counted."""
        self._result = result = self._file(site, ".json")
        process, self._process = self._process, None
        if process is None:
            await asyncio.to_thread(_kill_strays, result)
        else:
            if process.poll() is not None:
                _log.warning("%s traffic had ended by itself: %s", self.kind, _last_line(self._file(site, ".log")))
            await _stop(process)
        self._rows = self.seen()
        result.unlink(missing_ok=True)
        self._file(site, ".log").unlink(missing_ok=True)
        try:
            file_sd = site.require_target(self.kind).watch.file_sd
        except JwtdrillError:  # the target file is gone: nobody is scraped by it
            return
        if file_sd is not None:
            announcement(file_sd, self._name).unlink(missing_ok=True)

    def seen(self) -> list[dict[str, Any]]:
        """What came of the requests so far."""
        try:
            rows: list[dict[str, Any]] = json.loads(self._result.read_text())["tallies"]
        except (OSError, AttributeError, ValueError, KeyError):
            return list(self._rows)
        return rows

    @property
    def _name(self) -> str:
        return f"traffic-{self.kind}"

    def _file(self, site: Site, suffix: str) -> Path:
        return (site.folder / self._name).with_suffix(suffix).absolute()


async def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, and kill it when it does not."""
    process.terminate()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                while process.poll() is None:  # noqa: ASYNC110 - its end makes no event in this loop
                    await asyncio.sleep(_LOOK)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _kill_strays(result: Path) -> None:
    """Kill whoever still writes that file: only a process of ours names it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if _MODULE in line and any(json.dumps(str(result)) in word for word in line):
            found.append(process)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, _STOP_SECONDS)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "the traffic ended, and did not say why"
