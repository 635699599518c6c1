"""ASGI middleware that lets in only requests with a good bearer token (RFC 6750)."""

import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import partial
from typing import Any, Protocol

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import UNKNOWN, Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.verify.certificate import CertificateError, ForwardedCertificates, check_binding
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.leaks import LeakWatch
from jwtdrill.verify.proof import NonceWantedError, ProofChecker
from jwtdrill.verify.verifier import Check, Claims

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_STATUS = {Reason.KEY_UNAVAILABLE: 503, Reason.REPLAY_UNKNOWN: 503, Reason.INSUFFICIENT_SCOPE: 403}


class TokenVerifier(Protocol):
    """What decides on tokens: a Verifier, or something before one or in its place."""

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """The claims of a good token. Raises VerificationError.

        once: it is good here once only. check: what else must be so for this request; raises VerificationError.
        """


class BearerMiddleware:
    """Verifies the token of each HTTP request to `app`; its claims are in `scope["state"]["jwt_claims"]`.

    routes: path to the template that metrics name it by; other paths pass unguarded. one_time: those of them at which a
    token is good once only. clients: the values of client_id that metrics may name. leaks: told of each request that is
    let in. proofs, certificates: what checks that a token which is bound to a key (RFC 9449)
    comes with a proof, and one which is bound to a certificate (RFC 8705) with that; without them such tokens count as
    any other. base_url: by which clients know this server, for what a proof is made for; the Host header's by default.
    """

    def __init__(
        self,
        app: Application,
        verifier: TokenVerifier,
        *,
        routes: dict[str, str],
        one_time: Iterable[str] = (),
        clients: Iterable[str] = (),
        instruments: Instruments | None = None,
        proofs: ProofChecker | None = None,
        certificates: ForwardedCertificates | None = None,
        leaks: LeakWatch | None = None,
        base_url: str = "",
    ) -> None:
        self._app = app
        self._certificates = certificates
        self._proofs = proofs
        self._base_url = base_url
        self._verifier = verifier
        self._routes = routes
        self._one_time = frozenset(one_time)
        if not self._one_time <= set(routes):
            raise ValueError("one_time must be among the paths of routes: other paths are not guarded")
        self._leaks = leaks
        self._clients = frozenset(clients)
        self._requests = (instruments or Instruments()).counter(metrics.PROTECTED_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        route = self._routes.get(scope["path"]) if scope["type"] in ("http", "websocket") else None
        if route is None:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":  # no browser can send a token with one
            await send({"type": "websocket.close", "code": 1008, "reason": "not for websockets"})
            return
        scheme, token = _borne(scope["headers"])
        if token is None:
            self._requests.labels(route, "401", UNKNOWN).inc()
            await _answer(send, 401, 'Bearer realm="jwtdrill"', {"error": "no_token"})
            return
        try:
            claims = await self._verifier.averify(
                token, once=scope["path"] in self._one_time, check=partial(self._check_binding, scope, scheme, token)
            )
        except VerificationError as refusal:
            status = _STATUS.get(refusal.reason, 401)
            self._requests.labels(route, str(status), UNKNOWN).inc()
            await _refuse(send, status, refusal, self._proofs)
            return
        if self._leaks is not None:
            self._leaks.saw(scope, token, claims)
        client = claims.get("client_id")
        label = client if isinstance(client, str) and client in self._clients else UNKNOWN
        scope.setdefault("state", {})["jwt_claims"] = claims

        started = False

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._requests.labels(route, str(message["status"]), label).inc()
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except BaseException:
            if not started:
                self._requests.labels(route, "500", label).inc()
            raise

    def _check_binding(self, scope: Scope, scheme: str, token: str, claims: Claims) -> None:
        """That a token bound to a certificate comes with it (RFC 8705 section 3), one that is bound to a key with a
        proof of it, and no other with one (RFC 9449 section 7.1).
        """
        bound = claims.get("cnf")
        if bound is None and scheme == "bearer":
            return
        if self._certificates is not None and isinstance(bound, Mapping):
            check_binding(bound, self._certificates.thumbprint(scope["headers"]))
        thumbprint = bound.get("jkt") if isinstance(bound, Mapping) else None
        if self._proofs is None:
            if scheme != "bearer":
                raise VerificationError(Reason.PROOF_INVALID, "proofs are not checked here")
            return
        if thumbprint is None and scheme == "bearer":
            return
        proofs = [value for name, value in scope["headers"] if name == b"dpop"]
        if scheme != "dpop" or thumbprint is None or len(proofs) != 1:
            raise VerificationError(Reason.PROOF_INVALID, "a bound token and one proof belong together")
        shown = self._proofs.check(
            proofs[0].decode("latin-1"), method=scope["method"], url=self._url(scope), token=token
        )
        if not isinstance(thumbprint, str) or not hmac.compare_digest(shown.encode(), thumbprint.encode()):
            raise VerificationError(Reason.PROOF_INVALID, "the token is bound to another key")

    def _url(self, scope: Scope) -> str:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        return f"{self._base_url or scope['scheme'] + '://' + host}{scope['path']}"


def _borne(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str | None]:
    """The scheme and the one token of the request; None where there is none, or more than one."""
    values = [value for name, value in headers if name == b"authorization"]
    if len(values) != 1:
        return "", None
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() not in (b"bearer", b"dpop") or not token.isascii():
        return "", None
    return scheme.lower().decode(), token.strip().decode("ascii") or None


async def _refuse(send: Send, status: int, refusal: VerificationError, proofs: ProofChecker | None) -> None:
    error = "insufficient_scope" if refusal.reason is Reason.INSUFFICIENT_SCOPE else "invalid_token"
    scheme, more = "Bearer", []
    about_proof = refusal.reason is Reason.PROOF_INVALID and not isinstance(refusal, CertificateError)
    if about_proof and proofs is not None:
        scheme, error = "DPoP", "invalid_dpop_proof"
        if proofs.nonces is not None:
            more.append((b"dpop-nonce", proofs.nonces.current().encode()))
            error = "use_dpop_nonce" if isinstance(refusal, NonceWantedError) else error
    challenge = f'{scheme} error="{error}", error_description="{refusal.reason}"'
    await _answer(send, status, challenge, {"error": error, "reason": refusal.reason}, more)


async def _answer(
    send: Send, status: int, challenge: str, content: dict[str, str], more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    if status in (401, 403):
        headers.append((b"www-authenticate", challenge.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
