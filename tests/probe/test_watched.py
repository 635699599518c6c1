"""What watches the target is asked over HTTP, and what it lacks is said."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.probe.items import Status
from jwtdrill.probe.watched import watched_items
from jwtdrill.target.model import Target

WHOLE: dict[str, Any] = {
    "alerts": {name: f"http://books/{name}.md" for name in ALERT_NAMES},
    "activated": time.time() - 10 * 86400,
    "pages": 200,
    "retention": "31d",
}


KEPT = "Prometheus keeps what the objectives look back on"


def statuses(**changes: Any) -> dict[str, Status]:
    state = WHOLE | changes

    async def query(request: Request) -> Response:
        asked = request.query_params["query"]
        value = state["activated"] if "activated" in asked else 1
        result = [{"metric": {}, "value": [time.time(), str(value)]}] if value is not None else []
        return JSONResponse({"data": {"result": result}})

    async def rules(request: Request) -> Response:
        entries = [{"name": name, "annotations": {"runbook_url": url}} for name, url in state["alerts"].items()]
        return JSONResponse({"data": {"groups": [{"rules": entries}]}})

    async def page(request: Request) -> Response:
        return Response(status_code=state["pages"])

    async def runtime(request: Request) -> Response:
        return JSONResponse({"data": {"storageRetention": state["retention"]}})

    async def up(request: Request) -> Response:
        return JSONResponse({})

    app = Starlette(
        routes=[
            Route("/api/v1/query", query),
            Route("/api/v1/rules", rules),
            Route("/api/v1/status/runtimeinfo", runtime),
            Route("/api/v2/status", up),
            Route("/{page}", page),
        ]
    )
    watch = {"prometheus": "http://prom", "alertmanager": "http://am"}
    target = Target.model_validate({"environment": "test", "issuer": {"url": "http://idp"}, "watch": watch})

    async def ask() -> dict[str, Status]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return {item.name: item.status for item in await watched_items(target, client)}

    return asyncio.run(ask())


def test_all_there() -> None:
    found = statuses()
    assert found.pop("audit log with retention") is Status.UNKNOWN
    assert set(found.values()) == {Status.PASS}


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({"alerts": {}}, "alerts are loaded", Status.FAIL),
        ({"alerts": {}}, "runbooks are at hand", Status.FAIL),
        ({"alerts": dict.fromkeys(ALERT_NAMES, "")}, "runbooks are at hand", Status.FAIL),
        ({"pages": 404}, "runbooks are at hand", Status.FAIL),
        ({"activated": time.time() - 100 * 86400}, "keys are rotated", Status.FAIL),
        ({"activated": None}, "keys are rotated", Status.UNKNOWN),
        ({"retention": "15d"}, KEPT, Status.FAIL),
        ({"retention": "4w1d or 512MB"}, KEPT, Status.FAIL),
        ({"retention": "4w2d or 512MB"}, KEPT, Status.PASS),
        ({"retention": "512MB"}, KEPT, Status.UNKNOWN),
    ],
)
def test_what_is_lacking_is_said(changes: dict[str, Any], name: str, status: Status) -> None:
    assert statuses(**changes)[name] is status
