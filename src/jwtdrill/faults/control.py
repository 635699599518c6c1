"""The fault agent's control interface: HTTP with JSON, for whoever holds the control token."""

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Endpoint

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.lease import DEFAULT_LEASE, Lease
from jwtdrill.faults.registry import make_fault

if TYPE_CHECKING:
    from jwtdrill.faults.agent import Agent

ACTOR_HEADER = "Jwtdrill-Actor"
_UNDO_FAILED = {"error": "an undo failed; it is tried again when the lease runs out"}
Handler = Callable[[Request], Awaitable[Response]]


def application(agent: "Agent", token: str) -> Starlette:
    """The interface of that agent."""
    control = _Control(agent, token)
    return Starlette(
        routes=[
            Endpoint("/metrics", control.exposition),
            Endpoint("/checks", control.guarded(control.check), methods=["POST"]),
            Endpoint("/leases", control.guarded(control.list)),
            Endpoint("/leases", control.guarded(control.begin), methods=["POST"]),
            Endpoint("/leases", control.guarded(control.end_all), methods=["DELETE"]),
            Endpoint("/leases/{id}", control.guarded(control.renew), methods=["PUT"]),
            Endpoint("/leases/{id}", control.guarded(control.end), methods=["DELETE"]),
            Endpoint("/stop", control.guarded(control.stop), methods=["POST"]),
            Endpoint("/resume", control.guarded(control.resume), methods=["POST"]),
        ]
    )


class _Control:
    def __init__(self, agent: "Agent", token: str) -> None:
        self._agent = agent
        self._token = token

    async def begin(self, request: Request) -> Response:
        content = await _json(request)
        name, params = content.get("fault"), content.get("params", {})
        seconds = content.get("lease", DEFAULT_LEASE)
        if not isinstance(name, str) or not isinstance(params, dict) or not isinstance(seconds, int | float):
            return JSONResponse({"error": "give fault, params and lease (seconds)"}, 400)
        try:
            lease = await self._agent.begin(name, params, seconds, _actor(request))
        except BadInputError as error:
            return JSONResponse({"error": str(error)}, 400)
        except JwtdrillError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse(_describe(lease, time.monotonic()), 201)

    async def check(self, request: Request) -> Response:
        content = await _json(request)
        name, params = content.get("fault"), content.get("params", {})
        if not isinstance(name, str) or not isinstance(params, dict):
            return JSONResponse({"error": "give fault and params"}, 400)
        try:
            self._agent.check(name, params)
        except BadInputError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({})

    async def list(self, request: Request) -> Response:  # noqa: ARG002
        now = time.monotonic()
        leases = [{**_describe(lease, now), "seen": self._agent.seen(lease.id)} for lease in self._agent.active()]
        return JSONResponse({"leases": leases, "stopped": self._agent.stopped})

    async def renew(self, request: Request) -> Response:
        if not self._agent.renew(request.path_params["id"]):
            return JSONResponse({"error": "the lease has ended"}, 404)
        return JSONResponse({})

    async def end(self, request: Request) -> Response:
        lease_id = request.path_params["id"]
        if not await self._agent.end(lease_id, _actor(request)):
            return JSONResponse(_UNDO_FAILED, 503)
        return JSONResponse({"seen": self._agent.seen(lease_id)})

    async def end_all(self, request: Request) -> Response:
        ended = await self._agent.end_all(by=_actor(request))
        return JSONResponse({}) if ended else JSONResponse(_UNDO_FAILED, 503)

    async def stop(self, request: Request) -> Response:
        ended = await self._agent.stop(_actor(request))
        return JSONResponse({}) if ended else JSONResponse(_UNDO_FAILED, 503)

    async def resume(self, request: Request) -> Response:
        self._agent.resume(_actor(request))
        return JSONResponse({})

    async def exposition(self, request: Request) -> Response:  # noqa: ARG002
        return Response(generate_latest(self._agent.instruments.registry), media_type=CONTENT_TYPE_LATEST)

    def guarded(self, endpoint: Handler) -> Handler:
        """Let only the holder of the control token through."""

        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return JSONResponse({"error": "the control token is missing or wrong"}, 401)
            return await endpoint(request)

        return guard


def _actor(request: Request) -> str:
    """Who asks, as the journal is to say; printable and short, whatever was sent."""
    given = request.headers.get(ACTOR_HEADER, "")
    return "".join(char for char in given if char.isprintable())[:100] or "unknown"


async def _json(request: Request) -> dict[str, Any]:
    try:
        content = await request.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _describe(lease: Lease, now: float) -> dict[str, Any]:
    fault = make_fault(lease.fault, lease.params)
    return {
        "id": lease.id,
        "fault": lease.fault,
        "params": dict(lease.params),
        "lease": lease.seconds,
        "remaining": round(lease.expires - now, 3),
        "blast_radius": fault.blast_radius,
        "after_effect": fault.after_effect.words,
    }
