"""What every protected resource of the lab has: guarded routes, and beside it metrics and a sign of life."""

from collections.abc import Sequence

from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.lab.orders import orders
from jwtdrill.lab.settings import VerifierSettings, forwarded_certificates
from jwtdrill.lab.upstream import Upstream
from jwtdrill.verify import BearerMiddleware, ClientAddresses, LeakWatch, Nonces, ProofChecker, TokenVerifier
from jwtdrill.verify.middleware import Application, Receive, Scope, Send


def own_instruments() -> Instruments:
    """Instruments of a process that also tells what it costs."""
    instruments = Instruments()
    ProcessCollector(registry=instruments.registry)
    return instruments


def guarded(
    settings: VerifierSettings,
    verifier: TokenVerifier,
    instruments: Instruments,
    *,
    open_routes: Sequence[BaseRoute] = (),
) -> Application:
    """The application: what `settings` describe, where `verifier` decides who is let in."""

    async def exposition(request: Request) -> Response:  # noqa: ARG001
        return Response(generate_latest(instruments.registry), media_type=CONTENT_TYPE_LATEST)

    async def alive(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("ok")

    beside = Starlette(routes=[Route("/metrics", exposition), Route("/healthz", alive), *open_routes])
    service: Application = Upstream(settings.upstream) if settings.upstream else orders

    one_time = [settings.one_time_route] if settings.one_time_route else []
    routes = {route: route for route in (settings.route, *one_time)}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        inside = scope["type"] == "http" and scope["path"] in routes
        await (service if inside else beside)(scope, receive, send)

    return BearerMiddleware(
        dispatch,
        verifier,
        routes=routes,
        one_time=one_time,
        clients=settings.clients,
        instruments=instruments,
        proofs=ProofChecker(leeway=max(settings.leeway, 5), nonces=Nonces() if settings.nonces else None),
        certificates=forwarded_certificates(settings.edge_secret_file),
        leaks=LeakWatch(settings.issuer, addresses=ClientAddresses(settings.trusted_proxies), instruments=instruments),
    )
