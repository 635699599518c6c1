"""A resource server of the lab: protected resources behind our own verification, and beside them a token service."""

from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.lab import sts
from jwtdrill.lab.revocations import RevocationList
from jwtdrill.lab.settings import VerifierSettings, forwarded_certificates, read_settings
from jwtdrill.verify import (
    BearerMiddleware,
    CachePolicy,
    ClientAddresses,
    JwksCache,
    LeakWatch,
    Nonces,
    ProofChecker,
    Verifier,
    VerifierPolicy,
)
from jwtdrill.verify.middleware import Application, Receive, Scope, Send

STS_ROUTE = "/sts"
_BODY = b'{"orders": []}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


async def _orders(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """The resource itself: as little as a resource can do, so that verification is what is measured."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def build(settings: VerifierSettings) -> Application:
    """The application: metrics beside the guarded routes."""
    instruments = Instruments()
    ProcessCollector(registry=instruments.registry)
    cache = JwksCache(
        settings.jwks_uri,
        settings.issuer,
        policy=CachePolicy(
            min_lifetime=settings.min_lifetime,
            stale_limit=settings.stale_limit,
            retry_first=min(1.0, settings.retry_most),
            retry_most=settings.retry_most,
        ),
        instruments=instruments,
    )
    policy = VerifierPolicy(
        settings.issuer,
        settings.audience,
        settings.algorithms,
        settings.leeway,
        scope=settings.scope,
        most_scope=settings.most_scope,
    )
    revocations = RevocationList(settings.revocations) if settings.revocations else None
    verifier = Verifier(
        policy,
        cache,
        instruments=instruments,
        offset_window=settings.offset_window,
        decisions=settings.decisions,
        revoked=revocations.holds if revocations is not None else None,
        revoked_keys=revocations.holds_key if revocations is not None else None,
        refuse_revoked_keys=False,  # counted, so that a drill sees how long each cache trusts a stolen key
    )

    async def exposition(request: Request) -> Response:  # noqa: ARG001
        return Response(generate_latest(instruments.registry), media_type=CONTENT_TYPE_LATEST)

    async def alive(request: Request) -> Response:  # noqa: ARG001
        return PlainTextResponse("ok")

    open_routes = Starlette(
        routes=[
            Route("/metrics", exposition),
            Route("/healthz", alive),
            Route(STS_ROUTE, sts.service(verifier, settings.role), methods=["POST"]),
        ]
    )

    one_time = [settings.one_time_route] if settings.one_time_route else []
    routes = {route: route for route in (settings.route, *one_time)}

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "http" and scope["path"] in routes
        await (_orders if guarded else open_routes)(scope, receive, send)

    cache.on_hand()  # begins to fetch, so that the first request finds keys
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


def create() -> Application:
    """The application, from the settings that the environment names."""
    return build(read_settings(VerifierSettings))
