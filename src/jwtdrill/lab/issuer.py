"""The lab's authorization server: metadata, key set, token endpoint, and an admin interface for its keys.

client_credentials with private_key_jwt (RFC 7523 section 2.2) and the jwt-bearer grant (section 2.1), with every
check of section 3, a jti used once, and the error bodies of RFC 6749 section 5.2.
"""

import hmac
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qsl

from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import UNKNOWN, Instruments
from jwtdrill.catalog.reasons import TokenError
from jwtdrill.flows.token import CLIENT_ASSERTION, CLIENT_CREDENTIALS, JWT_BEARER
from jwtdrill.lab.assertions import AssertionChecker, AssertionRefused
from jwtdrill.lab.keyring import Keyring, KeyringError, KeyState
from jwtdrill.lab.settings import ClientSettings, IssuerSettings, read_settings
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter

_MOST_FORM_BYTES = 64 * 1024
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1


class Refused(Exception):  # noqa: N818 - an OAuth error is an answer, not a fault of ours
    """A token request is refused with an error of RFC 6749 section 5.2."""

    def __init__(self, error: TokenError, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class IssuerService:
    """The issuer's state and its endpoints."""

    def __init__(self, settings: IssuerSettings, first: SigningKey, admin_token: str) -> None:
        self.settings = settings
        self.instruments = Instruments()
        ProcessCollector(registry=self.instruments.registry)
        self.keyring = Keyring(first, changed=self._keys_changed)
        self._admin_token = admin_token
        self._padding = {"padding": "x" * settings.token_padding} if settings.token_padding else {}
        self._clients = {client.id: client for client in settings.clients}
        self._token_endpoint = f"{settings.url}/token"
        self._assertions = AssertionChecker(
            {c.id: (c.jwk, c.alg) for c in settings.clients},
            audiences=(settings.url, self._token_endpoint),
            leeway=settings.leeway,
        )
        self._issued = self.instruments.counter(metrics.ISSUANCE)
        self._durations = self.instruments.histogram(metrics.ISSUANCE_DURATION)
        self._rotations = self.instruments.counter(metrics.KEY_ROTATION)
        for result in ("success", "failure"):
            self._rotations.labels(settings.url, result)
        for grant_type in (CLIENT_CREDENTIALS, JWT_BEARER):
            self._issued.labels(settings.url, grant_type, "success", "")
            for error in TokenError:
                self._issued.labels(settings.url, grant_type, "failure", error)
        self._minter = Minter(first)
        self._keys_changed()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/jwks", self.key_set),
                Route("/token", self.token, methods=["POST"]),
                Route("/admin/keys", self.guarded(self.list_keys)),
                Route("/admin/keys/{step}", self.guarded(self.key_step), methods=["POST"]),
                Route("/metrics", self.exposition),
            ]
        )

    async def metadata(self, request: Request) -> Response:  # noqa: ARG002
        """Metadata of RFC 8414."""
        url = self.settings.url
        return JSONResponse(
            {
                "issuer": url,
                "token_endpoint": self._token_endpoint,
                "jwks_uri": f"{url}/jwks",
                "grant_types_supported": [CLIENT_CREDENTIALS, JWT_BEARER],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": sorted({c.alg for c in self.settings.clients}),
                "response_types_supported": [],
            }
        )

    async def key_set(self, request: Request) -> Response:  # noqa: ARG002
        """The JWK set."""
        return JSONResponse(
            self.keyring.document(), headers={"Cache-Control": f"public, max-age={self.settings.max_age}"}
        )

    async def token(self, request: Request) -> Response:
        """The token endpoint."""
        started = time.perf_counter()
        grant_type = UNKNOWN
        error = ""
        response: Response
        try:
            form = await _form(request)
            asked = form.get("grant_type", "")
            if asked not in (CLIENT_CREDENTIALS, JWT_BEARER):
                kind = TokenError.UNSUPPORTED_GRANT_TYPE if asked else TokenError.INVALID_REQUEST
                raise Refused(kind, "grant_type is missing or not supported")
            grant_type = asked
            response = JSONResponse(self._grant(grant_type, form), headers=_NO_STORE)
        except Refused as refusal:
            error = refusal.error
            response = JSONResponse(
                {"error": refusal.error, "error_description": refusal.description},
                status_code=refusal.status,
                headers=_NO_STORE,
            )
        labels = (self.settings.url, grant_type, "failure" if error else "success", error)
        self._issued.labels(*labels).inc()
        self._durations.labels(*labels).observe(time.perf_counter() - started)
        return response

    async def list_keys(self, request: Request) -> Response:  # noqa: ARG002
        """kid, alg and state of every key."""
        return JSONResponse(
            {"keys": [{"kid": h.key.kid, "alg": h.key.alg, "state": h.state} for h in self.keyring.held()]}
        )

    async def key_step(self, request: Request) -> Response:
        """One step of a rotation: publish, or activate, remove, restore with `kid` in the query."""
        step, kid = request.path_params["step"], request.query_params.get("kid", "")
        try:
            match step:
                case "publish":
                    kid = self.keyring.publish()
                case "activate":
                    self.keyring.activate(kid)
                    self._rotations.labels(self.settings.url, "success").inc()
                case "remove":
                    self.keyring.remove(kid)
                case "restore":
                    self.keyring.restore(kid)
                case _:
                    return JSONResponse({"error": "step is publish, activate, remove or restore"}, 404)
        except KeyringError as error:
            if step == "activate":
                self._rotations.labels(self.settings.url, "failure").inc()
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"kid": kid})

    async def exposition(self, request: Request) -> Response:  # noqa: ARG002
        """Metrics in the text format."""
        return Response(generate_latest(self.instruments.registry), media_type=CONTENT_TYPE_LATEST)

    def guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Let only the holder of the admin token through."""

        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._admin_token}".encode()):
                return JSONResponse({"error": "the admin token is missing or wrong"}, 401)
            return await endpoint(request)

        return guard

    def _grant(self, grant_type: str, form: dict[str, str]) -> dict[str, object]:
        if grant_type == CLIENT_CREDENTIALS:
            client = self._client(form)
            subject = client.id
        else:
            if "client_assertion" in form:
                self._client(form)
            name, subject = self._check(form.get("assertion"), TokenError.INVALID_GRANT, own=False)
            client = self._clients[name]
        scope = form.get("scope", " ".join(client.scopes))
        if not set(scope.split(" ")) <= set(client.scopes):
            raise Refused(TokenError.INVALID_SCOPE, "more scope than the client may have")
        lifetime = self.settings.token_lifetime
        token = self._minter.mint(
            Claims.lasting(
                lifetime,
                now=time.time(),
                iss=self.settings.url,
                sub=subject,
                aud=self.settings.audience,
                scope=scope,
                client_id=client.id,
                extra=self._padding,
            )
        )
        return {"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope}

    def _client(self, form: dict[str, str]) -> ClientSettings:
        if form.get("client_assertion_type") != CLIENT_ASSERTION:
            raise Refused(TokenError.INVALID_CLIENT, "private_key_jwt is the only way in", 401)
        name, _ = self._check(form.get("client_assertion"), TokenError.INVALID_CLIENT, own=True)
        if form.get("client_id", name) != name:
            raise Refused(TokenError.INVALID_CLIENT, "client_id and the assertion differ", 401)
        return self._clients[name]

    def _check(self, assertion: str | None, error: TokenError, *, own: bool) -> tuple[str, str]:
        if not assertion:
            raise Refused(TokenError.INVALID_REQUEST, "the assertion is missing")
        try:
            return self._assertions.check(assertion, speaks_for_itself=own, now=time.time())
        except AssertionRefused as refusal:
            raise Refused(error, str(refusal), 401 if error is TokenError.INVALID_CLIENT else 400) from None

    def _keys_changed(self) -> None:
        info = self.instruments.gauge(metrics.SIGNING_KEY_INFO)
        activated = self.instruments.gauge(metrics.SIGNING_KEY_ACTIVATED)
        info.clear()
        activated.clear()
        for held in self.keyring.held():
            if held.state is KeyState.REMOVED:
                continue
            labels = (self.settings.url, held.key.kid, held.key.alg, held.state)
            info.labels(*labels).set(1)
            if held.activated:
                activated.labels(*labels).set(held.activated)
        self._minter = Minter(self.keyring.active)


async def _form(request: Request) -> dict[str, str]:
    """The form's fields; a field that is given twice is refused (RFC 6749 section 3.2)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM_BYTES:
            raise Refused(TokenError.INVALID_REQUEST, "the form is too large", 413)
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=32)
    except ValueError:
        raise Refused(TokenError.INVALID_REQUEST, "the body is no form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused(TokenError.INVALID_REQUEST, "a field is given twice")
    return form


def create() -> Starlette:
    """The application, from the settings that the environment names."""
    settings = read_settings(IssuerSettings)
    key = SigningKey.from_pem(Path(settings.key_file).read_bytes(), Algorithm(settings.key_alg))
    return IssuerService(settings, key, Path(settings.admin_token_file).read_text()).application()
