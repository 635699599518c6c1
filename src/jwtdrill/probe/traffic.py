"""`python -m jwtdrill.probe.traffic TARGET [ORDER]`: sends bad traffic at a bounded rate until it is told to stop.

ORDER, or else standard input, is JSON: `{"kind": "forged", "params": {"rate": 20}}`, see `Order`. It ends at SIGTERM
or SIGINT, when its time is over, and, where whoever started it asked the kernel for a death signal, with that one.
What was sent and what came of it is on a metrics port and in a file, by second.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import httpx
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from pydantic import Field, TypeAdapter, ValidationError

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.verdicts import Tally
from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.flows.misuse import KINDS, Traffic
from jwtdrill.probe.misuse import Shot, Source, source_of
from jwtdrill.probe.sending import send
from jwtdrill.probe.supply import Workshop
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Target

_TIMEOUT = 5.0
_MOST_UNDER_WAY = 200  # requests without an answer as yet; one that is due beyond that is missed
_MOST_SECONDS = 600  # that are counted apart
_WRITE_SECONDS = 1.0
_LAST_ANSWERS = 0.5  # seconds that are left to what is under way at the end
_LONGEST = 3600.0


@dataclass(frozen=True)
class Order:
    """What to send. kind, params: as in `flows/misuse`. seconds: hard limit. port: of metrics, none by default.

    result: the file to write; without one the tallies are printed at the end.
    """

    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    seconds: Annotated[float, Field(gt=0, le=_LONGEST)] = _LONGEST
    port: int = 0
    result: Path | None = None

    def traffic(self) -> Traffic:
        """The traffic. Raises BadInputError."""
        if self.kind not in KINDS:
            raise BadInputError(f"unknown kind of traffic {self.kind!r}: choose from {', '.join(KINDS)}")
        kind = KINDS[self.kind]
        strange = sorted(set(self.params) - {one.name for one in fields(kind)})
        if strange:
            raise BadInputError(f"{self.kind} has no parameter {strange[0]!r}")
        try:
            return TypeAdapter(kind).validate_python(self.params)
        except ValidationError as error:
            mistake = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in mistake["loc"])
            raise BadInputError(f"{self.kind}: parameter {where}: {mistake['msg']}") from None


class Tallies:
    """What came back, by second of Unix time; of very many seconds by some at once."""

    def __init__(self, instruments: Instruments) -> None:
        self._requests = instruments.counter(metrics.REQUESTS)
        self._durations = instruments.histogram(metrics.REQUEST_DURATION)
        self._missed = instruments.counter(metrics.ARRIVALS_MISSED)
        self._seconds: dict[int, Counter[Tally]] = {}
        self._width = 1
        self.missed = 0

    def add(self, tally: Tally, at: float, seconds: float) -> None:
        """One answer, to a request that was due then and was answered after so many seconds."""
        self._requests.labels(tally.flow, tally.case, tally.expected.value, tally.verdict.value).inc()
        self._durations.labels(tally.flow, tally.case).observe(seconds)
        self._count(int(at), {tally: 1})
        while len(self._seconds) > _MOST_SECONDS:
            self._width *= 2
            old, self._seconds = self._seconds, {}
            for second, counts in old.items():
                self._count(second, counts)

    def miss(self) -> None:
        """A request that could not be sent when it was due."""
        self.missed += 1
        self._missed.inc()

    def rows(self) -> list[dict[str, Any]]:
        """As JSON: a record for each second and tally, in order."""
        return [
            {"time": second, **tally._asdict(), "count": count}
            for second, counts in sorted(self._seconds.items())
            for tally, count in sorted(counts.items())
        ]

    def _count(self, second: int, counts: Mapping[Tally, int]) -> None:
        self._seconds.setdefault(second // self._width * self._width, Counter()).update(counts)


class Sender:
    """Sends a source's shots when they are due."""

    def __init__(self, target: Target, tallies: Tallies) -> None:
        self._tls = tls_context(target)
        self.client = self._new_client()
        self._tallies = tallies
        self._from: dict[str, httpx.AsyncClient] = {"": self.client}
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, source: Source, rate: float, seconds: float) -> None:
        """Send `rate` requests/s until that time is over, or cancelled."""
        began = time.monotonic()
        due = began + source.silence
        while due < began + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self._under_way) >= _MOST_UNDER_WAY or time.monotonic() - due > 1.0:
                self._tallies.miss()
            elif (shot := source.shot(due - began)) is not None:
                task = asyncio.create_task(self._fire(shot, due))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            due += 1 / rate

    async def drain(self) -> None:
        """Give what is under way a moment, then drop it: what has no answer counts for nothing."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_LAST_ANSWERS)
            for task in late:
                task.cancel()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._from.values():
            await client.aclose()

    async def _fire(self, shot: Shot, due: float) -> None:
        sent = time.time()
        response = await send(self._client(shot.sender), shot.request)
        verdict = shot.judge(response).verdict
        self._tallies.add(
            Tally(shot.flow, shot.case, shot.resource, shot.expected, verdict), sent, time.monotonic() - due
        )
        if shot.done is not None:
            shot.done(response, verdict)

    def _client(self, sender: str) -> httpx.AsyncClient:
        if sender not in self._from:
            self._from[sender] = self._new_client(sender)
        return self._from[sender]

    def _new_client(self, sender: str = "") -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(
            verify=self._tls,
            local_address=sender or None,
            limits=httpx.Limits(max_connections=_MOST_UNDER_WAY, max_keepalive_connections=50 if not sender else 1),
        )
        return httpx.AsyncClient(transport=transport, timeout=_TIMEOUT)


async def run(target: Target, order: Order) -> list[dict[str, Any]]:
    """Send until told to stop; the tallies by second. Raises JwtdrillError before anything is sent."""
    traffic = order.traffic()
    traffic.places(target)
    instruments = Instruments(CollectorRegistry())
    tallies = Tallies(instruments)
    sender = Sender(target, tallies)
    try:
        workshop = await Workshop.open(target, sender.client)
        source = await source_of(traffic, workshop)
        with _Exposition(instruments, order.port), _Report(order.result, tallies) as report:
            tasks = [
                asyncio.create_task(work)
                for work in (sender.run(source, traffic.rate, order.seconds), report.keep(), _told_to_stop())
            ]
            keeping = [asyncio.create_task(supply.keep()) for supply in workshop.supplies]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (*tasks, *keeping):
                    task.cancel()
                await sender.drain()
    finally:
        await sender.close()
    return tallies.rows()


async def _told_to_stop() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()


class _Exposition:
    """Metrics on a loopback port, where one is given."""

    def __init__(self, instruments: Instruments, port: int) -> None:
        self._registry = instruments.registry
        self._port = port

    def __enter__(self) -> None:
        if self._port:
            ProcessCollector(registry=self._registry)  # its start: what is counted at the first scrape is new
            try:
                self._server, self._thread = start_http_server(self._port, "127.0.0.1", self._registry)
            except OSError as error:
                raise BadInputError(f"port {self._port} cannot be opened: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        if self._port:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Report:
    """The file of results, from the moment on when all is ready."""

    def __init__(self, path: Path | None, tallies: Tallies) -> None:
        self._path = path
        self._tallies = tallies

    def __enter__(self) -> "_Report":
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    async def keep(self) -> None:
        """Write it each second, so that it is there whatever becomes of us."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            self._write()

    def _write(self) -> None:
        if self._path is not None:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps({"missed": self._tallies.missed, "tallies": self._tallies.rows()}))
            fresh.replace(self._path)


def main(argv: Iterable[str]) -> int:
    """Run what the command line says."""
    name, *more = argv
    try:
        try:
            order = TypeAdapter(Order).validate_json(more[0] if more else sys.stdin.read())
        except ValidationError as error:
            raise BadInputError(f"the order: {error.errors(include_url=False)[0]['msg']}") from None
        rows = asyncio.run(run(load_target(name), order))
    except JwtdrillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if order.result is None:
        sys.stdout.write(f"{json.dumps(rows)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
