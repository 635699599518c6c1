"""The lab's authorization server: metadata, key set, token, introspection and revocation endpoints, and an admin
interface for its keys. What it grants is in `grants`; this is what stands between it and HTTP.
"""

import asyncio
import hmac
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import UNKNOWN, Instruments
from jwtdrill.catalog.reasons import Reason, TokenError
from jwtdrill.flows.token_exchange import TOKEN_EXCHANGE
from jwtdrill.lab.foreign import foreign_keys
from jwtdrill.lab.forms import read_form
from jwtdrill.lab.grants import GRANT_TYPES, Bearing, Grants, Refused
from jwtdrill.lab.keyring import Keyring, KeyringError, KeyState
from jwtdrill.lab.settings import IssuerSettings, forwarded_certificates, read_settings
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.proof import Nonces, NonceWantedError, ProofChecker

_STEPS: Mapping[str, Callable[[Keyring, str], None]] = {
    "activate": Keyring.activate,
    "alternate": Keyring.alternate,
    "disable": Keyring.disable,
    "remove": Keyring.remove,
    "restore": Keyring.restore,
    "compromise": Keyring.compromise,
    "revoke": Keyring.revoke,
}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 section 5.1


@dataclass(frozen=True, slots=True)
class Overload:
    """How much later it answers, in seconds, and the share of requests that it gives up."""

    seconds: float = 0.0
    errors: float = 0.0

    async def bear(self) -> None:
        """Wait. Raises Refused for a request that it gives up."""
        if self.seconds > 0:
            await asyncio.sleep(self.seconds)
        if random.random() < self.errors:  # noqa: S311 - not a secret
            raise Refused(TokenError.SERVER_ERROR, "too much to do", 503)


class IssuerService:
    """The issuer's state and its endpoints."""

    def __init__(self, settings: IssuerSettings, first: SigningKey, admin_token: str) -> None:
        self.settings = settings
        self.instruments = Instruments()
        ProcessCollector(registry=self.instruments.registry)
        self.keyring = Keyring(first, changed=self._keys_changed)
        self._admin_token = admin_token
        self._shown: list[tuple[str, ...]] = []  # labels of our keys
        self._foreign = foreign_keys(settings, self.instruments)
        self._grants = Grants(settings, self.keyring, self._foreign)
        self._overload = Overload()
        self._proofs = ProofChecker(leeway=max(settings.leeway, 5), nonces=Nonces() if settings.nonces else None)
        self._certificates = forwarded_certificates(settings.edge_secret_file)
        self._introspected = self.instruments.counter(metrics.INTROSPECTION)
        self._introspections = self.instruments.histogram(metrics.INTROSPECTION_DURATION)
        self._issued = self.instruments.counter(metrics.ISSUANCE)
        self._durations = self.instruments.histogram(metrics.ISSUANCE_DURATION)
        self._rotations = self.instruments.counter(metrics.KEY_ROTATION)
        for result in ("success", "failure"):
            self._rotations.labels(settings.url, result)
        self._introspected.labels(settings.url, "success", "")
        for error in TokenError:
            self._introspected.labels(settings.url, "failure", error)
        for grant_type in GRANT_TYPES:
            self._issued.labels(settings.url, grant_type, "success", "")
            for error in TokenError:
                self._issued.labels(settings.url, grant_type, "failure", error)
        self._keys_changed()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/.well-known/openid-configuration", self.metadata),
                Route("/jwks", self.key_set),
                Route("/token", self.token, methods=["POST"]),
                Route("/introspect", self.introspect, methods=["POST"]),
                Route("/revoke", self.revoke, methods=["POST"]),
                Route("/revoked", self.revoked),
                Route("/admin/keys", self.guarded(self.list_keys)),
                Route("/admin/keys/{step}", self.guarded(self.key_step), methods=["POST"]),
                Route("/admin/overload", self.guarded(self.overload), methods=["POST"]),
                Route("/metrics", self.exposition),
            ]
        )

    async def metadata(self, request: Request) -> Response:  # noqa: ARG002
        """Metadata of RFC 8414."""
        url = self.settings.url
        methods = ["private_key_jwt", "client_secret_basic", "client_secret_post"]
        aliases: dict[str, object] = {}
        if self.settings.mtls_url:
            methods.append("tls_client_auth")
            names = {"token_endpoint": "token", "introspection_endpoint": "introspect", "revocation_endpoint": "revoke"}
            aliases = {
                "tls_client_certificate_bound_access_tokens": True,
                "mtls_endpoint_aliases": {name: f"{self.settings.mtls_url}/{path}" for name, path in names.items()},
            }
        return JSONResponse(
            {
                "issuer": url,
                "token_endpoint": self._grants.token_endpoint,
                "jwks_uri": f"{url}/jwks",
                "introspection_endpoint": self.settings.introspection_endpoint or f"{url}/introspect",
                "revocation_endpoint": f"{url}/revoke",
                "grant_types_supported": list(GRANT_TYPES),
                "scopes_supported": sorted({scope for client in self.settings.clients for scope in client.scopes}),
                "token_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_methods_supported": methods,
                "token_endpoint_auth_signing_alg_values_supported": sorted(
                    {c.alg for c in self.settings.clients if c.alg}
                ),
                "dpop_signing_alg_values_supported": list(self._proofs.algorithms),
                "response_types_supported": [],
                **aliases,
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
            bearing = await self._bearing(request)
            asked = bearing.form.get("grant_type", "")
            if asked not in GRANT_TYPES:
                kind = TokenError.UNSUPPORTED_GRANT_TYPE if asked else TokenError.INVALID_REQUEST
                raise Refused(kind, "grant_type is missing or not supported")
            grant_type = asked
            bearing = replace(bearing, thumbprint=self._thumbprint(request))
            await self._overload.bear()
            if grant_type == TOKEN_EXCHANGE:
                for name in ("subject_token", "actor_token"):
                    await self._foreign.look_for(bearing.form.get(name, ""))
            response = JSONResponse(self._grants.grant(grant_type, bearing), headers=_NO_STORE)
        except Refused as refusal:
            error = refusal.error
            response = self._refusal(refusal.error, refusal.description, refusal.status)
        except VerificationError as refusal:  # of the proof (RFC 9449 section 5)
            error = TokenError.INVALID_REQUEST
            code = "use_dpop_nonce" if isinstance(refusal, NonceWantedError) else "invalid_dpop_proof"
            response = self._refusal(code, refusal.detail, 400)
        labels = (self.settings.url, grant_type, "failure" if error else "success", error)
        self._issued.labels(*labels).inc()
        self._durations.labels(*labels).observe(time.perf_counter() - started)
        return response

    async def introspect(self, request: Request) -> Response:
        """The introspection endpoint (RFC 7662)."""
        started = time.perf_counter()
        error = ""
        response: Response
        try:
            bearing = await self._bearing(request)
            self._grants.authenticate(bearing)
            await self._overload.bear()
            token = bearing.form.get("token", "")
            response = JSONResponse(self._grants.introspect(token), headers=_NO_STORE)
        except Refused as refusal:
            error = refusal.error
            response = self._refusal(refusal.error, refusal.description, refusal.status)
        labels = (self.settings.url, "failure" if error else "success", error)
        self._introspected.labels(*labels).inc()
        self._introspections.labels(*labels).observe(time.perf_counter() - started)
        return response

    async def revoke(self, request: Request) -> Response:
        """The revocation endpoint (RFC 7009)."""
        try:
            bearing = await self._bearing(request)
            client = self._grants.authenticate(bearing)
            self._grants.revoke(bearing.form.get("token", ""), client)
        except Refused as refusal:
            return self._refusal(refusal.error, refusal.description, refusal.status)
        return Response(headers=_NO_STORE)

    async def revoked(self, request: Request) -> Response:  # noqa: ARG002
        """The jti of each revoked token and the kid of each revoked key, for verifiers that look (no RFC has such)."""
        return JSONResponse({"revoked": self._grants.revoked(), "keys": self.keyring.revoked()}, headers=_NO_STORE)

    async def list_keys(self, request: Request) -> Response:  # noqa: ARG002
        """kid, alg and state of every key, and whether it stands in the set."""
        return JSONResponse(
            {
                "keys": [
                    {"kid": held.own.kid, "alg": held.own.alg, "state": held.state, "in_set": held.in_set}
                    for held in self.keyring.held()
                ]
            }
        )

    async def key_step(self, request: Request) -> Response:
        """One step, of a rotation or away from one, with `kid` in the query, or `alg` for a new key."""
        step, kid = request.path_params["step"], request.query_params.get("kid", "")
        try:
            match step:
                case _ if step in _STEPS:
                    _STEPS[step](self.keyring, kid)
                case "generate":
                    kid = self.keyring.generate(_algorithm(request))
                case "publish":
                    kid = self.keyring.publish(_algorithm(request))
                case "reuse_kid":
                    kid = self.keyring.reuse_kid()
                case "give_up":
                    self._rotations.labels(self.settings.url, "failure").inc()
                case "mend":
                    self.keyring.mend()
                    self._keep_signing_key()
                case _:
                    steps = ", ".join((*_STEPS, "generate", "publish", "reuse_kid", "give_up"))
                    return JSONResponse({"error": f"step is {steps} or mend"}, 404)
        except KeyringError as error:
            if step == "activate":
                self._rotations.labels(self.settings.url, "failure").inc()
            return JSONResponse({"error": str(error)}, 409)
        if step in ("activate", "reuse_kid"):
            self._rotations.labels(self.settings.url, "success").inc()
        return JSONResponse({"kid": kid})

    async def overload(self, request: Request) -> Response:
        """Answer later by so many `seconds`, and a share of the requests with `errors`; 0 for neither."""
        try:
            self._overload = Overload(*(float(request.query_params[name]) for name in ("seconds", "errors")))
        except (KeyError, ValueError):
            return JSONResponse({"error": "give seconds and errors, as numbers"}, 400)
        return JSONResponse({})

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

    async def _bearing(self, request: Request) -> Bearing:
        certificate = self._certificates.thumbprint(request.headers.raw) if self._certificates is not None else None
        return Bearing(await read_form(request), request.headers.get("authorization", ""), certificate=certificate)

    def _thumbprint(self, request: Request) -> str | None:
        """Of the key that the request's proof shows, None without one. Raises VerificationError."""
        proofs = request.headers.getlist("dpop")
        if not proofs:
            return None
        if len(proofs) > 1:
            raise VerificationError(Reason.PROOF_INVALID, "there is more than one proof")
        return self._proofs.check(proofs[0], method=request.method, url=self._grants.token_endpoint)

    def _keep_signing_key(self) -> None:
        """The key file holds the key that signs: the harness, which may sign with it, reads it there."""
        path = Path(self.settings.key_file)
        pem = self.keyring.active.pem()
        if self.settings.key_file and path.read_bytes() != pem:
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(pem)
            fresh.replace(path)

    def _refusal(self, error: str, description: str, status: int) -> Response:
        headers = {**_NO_STORE}
        if self._proofs.nonces is not None:
            headers["DPoP-Nonce"] = self._proofs.nonces.current()
        return JSONResponse({"error": error, "error_description": description}, status_code=status, headers=headers)

    def _keys_changed(self) -> None:
        info = self.instruments.gauge(metrics.SIGNING_KEY_INFO)
        activated = self.instruments.gauge(metrics.SIGNING_KEY_ACTIVATED)
        for labels in self._shown:  # one by one: of the foreign issuer's keys there are series beside ours
            info.remove(*labels)
            activated.remove(*labels)
        self._shown.clear()
        for held in self.keyring.held():
            if held.state not in (KeyState.PUBLISHED, KeyState.ACTIVE, KeyState.RETIRED):
                continue
            labels = (self.settings.url, held.key.kid, held.key.alg, held.state)
            self._shown.append(labels)
            info.labels(*labels).set(1)
            if held.activated:
                activated.labels(*labels).set(held.activated)
        self._grants.keys_changed()


def _algorithm(request: Request) -> Algorithm | None:
    """That is asked for. Raises KeyringError for one that no key set can have keys of."""
    name = request.query_params.get("alg")
    if name is None:
        return None
    if name not in list(Algorithm) or Algorithm(name).symmetric:
        raise KeyringError(f"no algorithm {name!r} for keys that are published")
    return Algorithm(name)


def create() -> Starlette:
    """The application, from the settings that the environment names."""
    settings = read_settings(IssuerSettings)
    key = SigningKey.from_pem(Path(settings.key_file).read_bytes(), Algorithm(settings.key_alg))
    return IssuerService(settings, key, Path(settings.admin_token_file).read_text()).application()
