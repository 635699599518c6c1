"""The fault agent: proxied routes, movable clocks and the issuer's keys under one table of leases.

`python -m jwtdrill.faults.agent SETTINGS` runs it. Its control interface listens on loopback and asks for a token;
a fault whose heartbeat stops ends here, whatever became of the controller.
"""

import asyncio
import contextlib
import functools
import hmac
import logging
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Endpoint

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.fault import Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.lease import DEFAULT_LEASE, Lease, LeaseTable
from jwtdrill.faults.proxy import Edge, Route
from jwtdrill.faults.registry import FAULTS, make_fault
from jwtdrill.processes.clocks import set_offset
from jwtdrill.processes.serving import serve

_RETRY_SECONDS = 0.5
_STEP_SECONDS = 5.0  # that one apply or one undo may take
_log = logging.getLogger("jwtdrill.faults")


@dataclass(frozen=True)
class EdgeSettings:
    """TLS that ends at a route: files of its certificate with key, of the authority of clients, and of the secret."""

    certificate_file: str
    clients_ca_file: str
    secret_file: str

    def edge(self) -> Edge:
        """With the files read."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.clients_ca_file)
        context.load_cert_chain(self.certificate_file)
        context.verify_mode = ssl.CERT_OPTIONAL
        return Edge(context, Path(self.secret_file).read_text())


@dataclass(frozen=True)
class RouteSettings:
    """A route of the proxy."""

    name: str
    port: int
    upstream: str
    edge: EdgeSettings | None = None


@dataclass(frozen=True)
class AgentSettings:
    """What an agent is told. Tokens are in files of their own."""

    control_port: int
    control_token_file: str
    routes: tuple[RouteSettings, ...] = ()
    clocks: dict[str, str] | None = None
    issuer_url: str | None = None
    issuer_token_file: str | None = None


class Agent:
    """Applies faults to its site under leases, and ends them."""

    def __init__(self, site: Site, token: str) -> None:
        self._site = site
        self._token = token
        self._leases = LeaseTable(time.monotonic)
        self._changed = asyncio.Event()
        self.instruments = Instruments()
        self._active = self.instruments.gauge(metrics.FAULT_ACTIVE)
        for name in FAULTS:
            self._active.labels(name).set(0)

    def application(self) -> Starlette:
        """The control interface."""
        return Starlette(
            routes=[
                Endpoint("/metrics", self._exposition),
                Endpoint("/checks", self._guarded(self._check), methods=["POST"]),
                Endpoint("/leases", self._guarded(self._list)),
                Endpoint("/leases", self._guarded(self._begin), methods=["POST"]),
                Endpoint("/leases", self._guarded(self._end_all), methods=["DELETE"]),
                Endpoint("/leases/{id}", self._guarded(self._renew), methods=["PUT"]),
                Endpoint("/leases/{id}", self._guarded(self._end), methods=["DELETE"]),
            ]
        )

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

    async def end_all(self) -> bool:
        """End every fault now; whether all undos worked."""
        return all(await asyncio.gather(*(self._finish(lease) for lease in self._leases.active())))

    async def _end_for_sure(self, lease: Lease) -> None:
        while not await self._finish(lease):  # noqa: ASYNC110 - waits to try again, for nothing that could tell
            await asyncio.sleep(_RETRY_SECONDS)

    async def _finish(self, lease: Lease) -> bool:
        async with lease.busy:
            try:
                async with asyncio.timeout(_STEP_SECONDS):
                    ended = await self._leases.end(lease.id)
            except Exception:  # noqa: BLE001 - whatever an undo runs into, it must be tried again
                _log.exception("undo of %s failed, will be tried again", lease.fault)
                return False
            if ended:
                _log.warning("%s ended", lease.fault)
                self._active.labels(lease.fault).set(0)
                self._changed.set()
            return True

    async def _begin(self, request: Request) -> Response:
        content = await _json(request)
        name, params = content.get("fault"), content.get("params", {})
        seconds = content.get("lease", DEFAULT_LEASE)
        if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(seconds, int | float):
            return JSONResponse({"error": "give fault, params and lease (seconds)"}, 400)
        taken = self._leases.at(name.partition(".")[0])
        if taken is not None:
            return JSONResponse({"error": f"{taken.fault} is in force: end it first"}, 409)
        try:
            fault = make_fault(name, params)
            # Before anything is touched there is a lease, and with it an undo that will come.
            lease = self._leases.grant(name, params, seconds, lambda: fault.undo(self._site, name))
        except (JwtdrillError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)
        self._changed.set()
        try:
            async with lease.busy, asyncio.timeout(min(_STEP_SECONDS, seconds)):
                await fault.apply(self._site, name)
        except BaseException as error:
            self._leases.expire(lease.id)
            self._changed.set()
            if not isinstance(error, Exception):
                raise
            await self._finish(lease)
            message = str(error) if isinstance(error, JwtdrillError) else type(error).__name__
            return JSONResponse({"error": f"{name} could not be applied: {message}"}, 400)
        self._active.labels(name).set(1)
        _log.warning("%s in force for %g s unless renewed", name, seconds)
        return JSONResponse(_describe(lease, time.monotonic()), 201)

    async def _check(self, request: Request) -> Response:
        """Whether a fault could be put in force here; nothing is touched."""
        content = await _json(request)
        name, params = content.get("fault"), content.get("params", {})
        if not isinstance(name, str) or not isinstance(params, dict):
            return JSONResponse({"error": "give fault and params"}, 400)
        try:
            make_fault(name, params).check(self._site, name)
        except BadInputError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({})

    async def _list(self, request: Request) -> Response:  # noqa: ARG002
        now = time.monotonic()
        return JSONResponse({"leases": [_describe(lease, now) for lease in self._leases.active()]})

    async def _renew(self, request: Request) -> Response:
        if not self._leases.renew(request.path_params["id"]):
            return JSONResponse({"error": "the lease has ended"}, 404)
        self._changed.set()
        return JSONResponse({})

    async def _end(self, request: Request) -> Response:
        wanted = [lease for lease in self._leases.active() if lease.id == request.path_params["id"]]
        if wanted and not await self._finish(wanted[0]):
            return JSONResponse({"error": "the undo failed; it is tried again when the lease runs out"}, 503)
        return JSONResponse({})

    async def _end_all(self, request: Request) -> Response:  # noqa: ARG002
        if not await self.end_all():
            return JSONResponse({"error": "an undo failed; it is tried again when the lease runs out"}, 503)
        return JSONResponse({})

    async def _exposition(self, request: Request) -> Response:  # noqa: ARG002
        return Response(generate_latest(self.instruments.registry), media_type=CONTENT_TYPE_LATEST)

    def _guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return JSONResponse({"error": "the control token is missing or wrong"}, 401)
            return await endpoint(request)

        return guard


def _forget(ending: dict[str, asyncio.Task[None]], lease_id: str, _: asyncio.Task[None]) -> None:
    ending.pop(lease_id, None)


async def _json(request: Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _describe(lease: Lease, now: float) -> dict[str, Any]:
    return {
        "id": lease.id,
        "fault": lease.fault,
        "params": dict(lease.params),
        "lease": lease.seconds,
        "remaining": round(lease.expires - now, 3),
        "blast_radius": FAULTS[lease.fault].blast_radius,
        "after_effect": FAULTS[lease.fault].after_effect,
    }


def site_of(settings: AgentSettings) -> Site:
    """What the agent can reach."""
    routes = {r.name: Route(r.name, r.port, r.upstream, r.edge.edge() if r.edge else None) for r in settings.routes}
    clocks = {name: Path(path) for name, path in (settings.clocks or {}).items()}
    issuer = None
    if settings.issuer_url and settings.issuer_token_file:
        issuer = IssuerAdmin(settings.issuer_url, Path(settings.issuer_token_file).read_text().strip())
    return Site(routes, clocks, issuer)


async def run(site: Site, control_port: int, token: str) -> None:
    """Serve until SIGTERM or SIGINT; every fault is undone before the end. Raises OSError for a port in use."""
    agent = Agent(site, token)
    routes = site.routes
    for clock in site.clocks.values():
        set_offset(clock, 0)  # an agent that was killed may have left it wrong
    for route in routes.values():
        await route.open()
    watcher = asyncio.create_task(agent.watch())
    try:
        await serve(agent.application(), control_port)
    finally:
        watcher.cancel()
        await agent.end_all()
        for route in routes.values():
            await route.close()


def main() -> None:
    """Run the agent that the settings file named on the command line describes."""
    logging.basicConfig(level=logging.WARNING)
    settings = TypeAdapter(AgentSettings).validate_json(Path(sys.argv[1]).read_bytes())
    asyncio.run(run(site_of(settings), settings.control_port, Path(settings.control_token_file).read_text().strip()))


if __name__ == "__main__":
    main()
