"""The fault agent: proxied routes, movable clocks and the issuer's keys under one table of leases.

`python -m jwtdrill.faults.agent SETTINGS` runs it. A fault whose heartbeat stops ends here, whatever became of the
controller; one that was in force when the agent itself was killed is undone when it is started again.
"""

import asyncio
import contextlib
import functools
import json
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.claim import CLAIM
from jwtdrill.faults.control import application
from jwtdrill.faults.fault import Fault, Sending, Site
from jwtdrill.faults.journal import Journal
from jwtdrill.faults.lease import Lease, LeaseTable
from jwtdrill.faults.proxy import Listener
from jwtdrill.faults.registry import FAULTS, make_fault
from jwtdrill.faults.settings import AgentSettings, site_of
from jwtdrill.processes.clocks import set_offset
from jwtdrill.processes.serving import serve

_RETRY_SECONDS = 0.5
_STEP_SECONDS = 5.0  # that one apply or one undo may take
_MOST_REMEMBERED = 16  # faults whose tallies can be had
_log = logging.getLogger("jwtdrill.faults")


class TakenError(JwtdrillError):
    """What is asked for cannot be had now."""


@dataclass(frozen=True, slots=True)
class Books:
    """What the agent writes: notes of what is in force, whether it was stopped, and the journal."""

    notes: Path
    journal: Journal

    @property
    def stopped(self) -> Path:
        """Stands while no fault may begin; says who wants it so."""
        return self.notes.with_suffix(".stopped")

    def write_notes(self, leases: tuple[Lease, ...]) -> None:
        """Note these as in force."""
        fresh = self.notes.with_suffix(".new")
        fresh.write_text(json.dumps([{"fault": lease.fault, "params": dict(lease.params)} for lease in leases]))
        fresh.replace(self.notes)

    def read_notes(self) -> list[tuple[str, dict[str, Any]]]:
        """What was in force when an agent wrote there last."""
        if not self.notes.exists():
            return []
        return [(note["fault"], note["params"]) for note in json.loads(self.notes.read_text())]


class Agent:
    """Applies faults to its site under leases, and ends them."""

    def __init__(self, site: Site, books: Books) -> None:
        self._site = site
        self._books = books
        self._leases = LeaseTable(time.monotonic)
        self._changed = asyncio.Event()
        self._sending: dict[str, Sending] = {}  # by lease, also after its end: its tallies are asked for then
        self.instruments = Instruments()
        self._active = self.instruments.gauge(metrics.FAULT_ACTIVE)
        for name in FAULTS:  # those of the proxy appear when they begin: of every route there could be each
            self._active.labels(name).set(0)
        for name, params in books.read_notes():  # which stay as they are until what they tell of is undone
            fault = make_fault(name, params)
            self._leases.expire(self._grant(fault, name, params, _RETRY_SECONDS).id)
            self._note("found in force after the agent was killed", name)

    @property
    def stopped(self) -> str:
        """Who has forbidden new faults, empty if nobody has."""
        return self._books.stopped.read_text() if self._books.stopped.exists() else ""

    def active(self) -> tuple[Lease, ...]:
        """The leases that have not ended, oldest first."""
        return self._leases.active()

    def check(self, name: str, params: Mapping[str, Any]) -> None:
        """Whether a fault could be put in force here; nothing is touched. Raises BadInputError."""
        make_fault(name, params).check(self._site)

    async def begin(self, name: str, params: Mapping[str, Any], seconds: float, by: str) -> Lease:
        """Put a fault in force. Raises BadInputError, TakenError, JwtdrillError when it could not be applied."""
        if self.stopped:
            raise TakenError(f"stopped by {self.stopped}: no fault may begin before `jwtdrill resume`")
        fault = make_fault(name, params)
        fault.check(self._site)
        if fault.place is not None and (taken := self._leases.at(fault.place)) is not None:
            raise TakenError(_taken(taken))
        try:
            # Before anything is touched there is a lease, and with it an undo that will come.
            lease = self._grant(fault, name, params, seconds)
            self._books.write_notes(self._leases.active())
        except ValueError as error:
            raise BadInputError(str(error)) from None
        self._changed.set()
        try:
            self._note("begin", name, by=by, params=dict(params), lease=seconds, id=lease.id)
            async with lease.busy, asyncio.timeout(min(_STEP_SECONDS, seconds)):
                await fault.apply(self._site)
        except BaseException as error:
            self._leases.expire(lease.id)
            self._changed.set()
            if not isinstance(error, Exception):
                raise
            await self._finish(lease, "it could not be applied")
            message = str(error) if isinstance(error, JwtdrillError) else type(error).__name__
            raise BadInputError(f"{name} could not be applied: {message}") from None
        if name != CLAIM:
            self._active.labels(name).set(1)
            _log.warning("%s in force for %g s unless renewed", name, seconds)
        return lease

    def renew(self, lease_id: str) -> bool:
        """Heartbeat. False when the lease has ended."""
        renewed = self._leases.renew(lease_id)
        self._changed.set()
        return renewed

    async def end(self, lease_id: str, by: str) -> bool:
        """End one fault; no error when it is over already. Whether the undo worked."""
        wanted = next((lease for lease in self._leases.active() if lease.id == lease_id), None)
        return wanted is None or await self._finish(wanted, "asked to", by)

    def seen(self, lease_id: str) -> list[dict[str, Any]]:
        """What came of the requests that this fault sent, if it sends any; also when it has just ended."""
        sending = self._sending.get(lease_id)
        return sending.seen() if sending is not None else []

    async def end_all(self, why: str = "asked to", by: str | None = None) -> bool:
        """End every fault now; whether all undos worked."""
        return all(await asyncio.gather(*(self._finish(lease, why, by) for lease in self._leases.active())))

    async def stop(self, by: str) -> bool:
        """End every fault and let none begin, also after a new start, until resumed. Whether all undos worked."""
        self._books.stopped.write_text(by)
        self._note("stop", by=by)
        for lease in self._leases.active():
            self._leases.expire(lease.id)
        self._changed.set()
        return await self.end_all("stopped", by)

    def resume(self, by: str) -> None:
        """Let faults begin again."""
        self._books.stopped.unlink(missing_ok=True)
        self._note("resume", by=by)

    async def watch(self) -> None:
        """End each fault when its lease runs out, however long another's undo may take. Runs until cancelled."""
        ending: dict[str, asyncio.Task[None]] = {}
        while True:
            self._changed.clear()
            expiry = self._leases.next_expiry(besides=ending)
            wait = None if expiry is None else max(0.0, expiry - time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)
            for lease in self._leases.expired():
                if lease.id not in ending:
                    _log.warning("lease of %s ran out: undoing", lease.fault)
                    ending[lease.id] = asyncio.create_task(self._end_for_sure(lease))
                    ending[lease.id].add_done_callback(functools.partial(_forget, ending, lease.id))

    def _grant(self, fault: Fault, name: str, params: Mapping[str, Any], seconds: float) -> Lease:
        lease = self._leases.grant(name, params, seconds, lambda: fault.undo(self._site), fault.place)
        if isinstance(fault, Sending):
            self._sending[lease.id] = fault
            while len(self._sending) > _MOST_REMEMBERED:
                del self._sending[next(iter(self._sending))]
        return lease

    async def _end_for_sure(self, lease: Lease) -> None:
        while not await self._finish(lease, "its lease ran out"):  # noqa: ASYNC110 - nothing could tell when to try
            await asyncio.sleep(_RETRY_SECONDS)

    async def _finish(self, lease: Lease, why: str, by: str | None = None) -> bool:
        async with lease.busy:
            try:
                async with asyncio.timeout(_STEP_SECONDS):
                    ended = await self._leases.end(lease.id)
            except Exception:  # noqa: BLE001 - whatever an undo runs into, it must be tried again
                _log.exception("undo of %s failed, will be tried again", lease.fault)
                return False
            if ended:
                self._books.write_notes(self._leases.active())
                self._note("end", lease.fault, by=by, why=why, id=lease.id)
                self._changed.set()
                if lease.fault != CLAIM and all(other.fault != lease.fault for other in self._leases.active()):
                    _log.warning("%s ended", lease.fault)
                    self._active.labels(lease.fault).set(0)
            return True

    def _note(self, action: str, fault: str | None = None, *, by: str | None = None, **more: Any) -> None:
        """Into the journal; one that cannot be written keeps no fault from its end, only from its beginning."""
        about = {} if fault is None else {"fault": fault}
        try:
            self._books.journal.note(action, by=by or "fault agent", **about, **more)
        except OSError as error:
            if action == "begin":
                raise JwtdrillError(f"the journal {self._books.journal.path}: {error.strerror}") from None
            _log.error("the journal cannot be written: %s", error.strerror)


def _taken(lease: Lease) -> str:
    if lease.fault == CLAIM:
        return f"another drill is under way: {lease.params.get('by')}"
    return f"{lease.fault} is in force: end it first"


def _forget(ending: dict[str, asyncio.Task[None]], lease_id: str, _: asyncio.Task[None]) -> None:
    ending.pop(lease_id, None)


async def run(settings: AgentSettings, token: str, listeners: tuple[Listener, ...]) -> None:
    """Serve until SIGTERM or SIGINT; every fault is undone before the end. Raises OSError for a port in use."""
    site = site_of(settings, listeners)
    agent = Agent(site, Books(Path(settings.notes_file), Journal(Path(settings.journal_file), settings.target)))
    for clock in site.clocks.values():
        set_offset(clock, 0)  # an agent that was killed may have left it wrong
    for listener in listeners:
        await listener.open()
    watcher = asyncio.create_task(agent.watch())
    try:
        await serve(application(agent, token), settings.control_port, settings.control_host)
    finally:
        watcher.cancel()
        await agent.end_all("the agent ends")
        for listener in listeners:
            await listener.close()


def main() -> None:
    """Run the agent that the settings file named on the command line describes."""
    logging.basicConfig(level=logging.WARNING)
    settings = TypeAdapter(AgentSettings).validate_json(Path(sys.argv[1]).read_bytes())
    token = Path(settings.control_token_file).read_text().strip()

    async def serve_all() -> None:  # routes and listeners want a running loop
        await run(settings, token, tuple(listener.listener() for listener in settings.listeners))

    asyncio.run(serve_all())


if __name__ == "__main__":
    main()
