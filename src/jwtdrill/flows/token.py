"""Token endpoint flows: client_credentials (RFC 6749 section 4.4) and jwt_bearer (RFC 7523)."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import quote_plus, urlencode

from jwtdrill.catalog.reasons import TokenError
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.errors import BadInputError
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.target.discovery import Endpoints
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Client, Target
from jwtdrill.tokens.cases import Material
from jwtdrill.tokens.cases.case import NOBODY
from jwtdrill.tokens.keys import SigningKey
from jwtdrill.tokens.minter import Claims, Minter

CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
ASSERTION_LIFETIME = 60  # seconds; RFC 7523 section 3 lets a server refuse one that lasts unreasonably long


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that was granted. `lifetime`: seconds. `refresh`: the token for the next one, where there is one."""

    token: str = field(repr=False)
    lifetime: float
    refresh: str | None = field(default=None, repr=False)


class ClientIdentity:
    """A client with its credential read: what proves to an issuer who asks."""

    def __init__(self, client: Client, target: Target, endpoints: Endpoints) -> None:
        """Raises BadInputError for a credential that cannot be read."""
        self.client = client
        self.endpoints = endpoints if client.certificate is None else endpoints.over_mutual_tls()
        self.endpoint = self.endpoints.token
        self.audience = self.endpoints.issuer if client.assertion_audience == "issuer" else self.endpoint
        where = f"{target.path}: client {client.id}"
        try:
            key = target.read(client.key) if client.key else None
            self._secret = target.read_text(client.secret) if client.secret else ""
        except BadInputError as error:
            raise BadInputError(f"{where}: {error}") from None
        try:
            self.minter = (
                Minter(SigningKey.from_pem(key, client.alg, client.kid or client.id), typ="JWT")
                if key is not None
                else None
            )
        except BadInputError as error:
            raise BadInputError(f"{where}: {client.key}: {error}: see its key and alg") from None
        self.tls = tls_context(target, client) if client.certificate is not None else None
        # Where assertions for a subject come from that somebody signs beforehand.
        self.signed_ahead: Callable[[str], str] | None = None

    def material(self, now: float, listener: str = NOBODY) -> Material:
        """What cases for this client's assertions are made from. Raises BadInputError without key."""
        genuine = self.sign_assertion(now)
        assert self.minter is not None
        return Material(
            genuine,
            self.minter,
            now=now,
            jwks=(self.minter.key.public_jwk(),),
            listener=listener,
            issuer=self.endpoints.issuer,
            token_endpoint=self.endpoint,
        )

    def assertion(self, now: float, subject: str = "") -> str:
        """A JWT by which the client speaks, for itself if no subject is named (RFC 7523 section 3).

        Raises BadInputError without key.
        """
        return self.signed_ahead(subject) if self.signed_ahead is not None else self.sign_assertion(now, subject)

    def sign_assertion(self, now: float, subject: str = "") -> str:
        """One signed here and now. Raises BadInputError without key."""
        if self.minter is None:
            raise BadInputError(f'client {self.client.id}: an assertion needs a key: add key = "file:…"')
        name = self.client.id
        claims = Claims.lasting(ASSERTION_LIFETIME, now=now, iss=name, sub=subject or name, aud=self.audience)
        return self.minter.mint(claims)

    def authenticated(
        self,
        form: Mapping[str, str],
        now: float | None = None,
        *,
        assertion: str | None = None,
        endpoint: str | None = None,
    ) -> Request:
        """A request with that form and the client's authentication: by that assertion, else by a good one.

        endpoint: of the issuer, the token endpoint by default.
        """
        headers = {**_FORM}
        form = {**form}
        match self.client.auth:
            case "private_key_jwt":
                form["client_assertion_type"] = CLIENT_ASSERTION
                form["client_assertion"] = assertion or self.assertion(time.time() if now is None else now)
            case "client_secret_basic":
                pair = f"{quote_plus(self.client.id)}:{quote_plus(self._secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            case "client_secret_post":
                form |= {"client_id": self.client.id, "client_secret": self._secret}
            case _:
                form["client_id"] = self.client.id
        return Request("POST", endpoint or self.endpoint, headers, urlencode(form).encode(), self.tls)


@dataclass(frozen=True, slots=True)
class TokenFlow:
    """A request to the token endpoint for a token, by one client."""

    identity: ClientIdentity
    name: ClassVar[str]

    def asked(self, form: Mapping[str, str], now: float | None = None, assertion: str | None = None) -> Request:
        """The request with that form, and the scope and the parameters that the target file gives the client."""
        client = self.identity.client
        scope = {"scope": client.scope} if client.scope else {}
        return self.identity.authenticated({**form, **scope, **client.params}, now, assertion=assertion)

    def judge(self, response: Response) -> Judgement:
        """Accepted by a 200 with a token; rejected by an error body of RFC 6749 section 5.2, whatever the 4xx."""
        if response.status == 200:
            if self.grant(response) is not None:
                return Judgement(Verdict.ACCEPTED)
            return Judgement(Verdict.ERRORED, "status 200 without a token")
        waiting = throttled(response)
        if waiting is not None:
            return waiting
        error = _error_code(response.json())
        if 400 <= response.status < 500 and error is not None:
            return Judgement(Verdict.REJECTED, error)
        return errored(response)

    def grant(self, response: Response) -> Grant | None:
        """The token of an accepted response."""
        content = response.json()
        if not isinstance(content, Mapping) or not isinstance(content.get("access_token"), str):
            return None
        lifetime, refresh = content.get("expires_in", 300), content.get("refresh_token")
        return Grant(
            content["access_token"],
            float(lifetime) if isinstance(lifetime, int | float) else 300.0,
            refresh if isinstance(refresh, str) else None,
        )


class ClientCredentials(TokenFlow):
    """The client asks for a token in its own name."""

    name = "client_credentials"

    def request(self, now: float | None = None, assertion: str | None = None) -> Request:
        """The token request; the client authenticates with that assertion, if one is given."""
        return self.asked({"grant_type": CLIENT_CREDENTIALS}, now, assertion)


@dataclass(frozen=True, slots=True)
class JwtBearer(TokenFlow):
    """The client exchanges an assertion for a token (RFC 7523 section 2.1). subject: whom it is about, else itself."""

    subject: str = ""
    name: ClassVar[str] = "jwt_bearer"

    def request(self, assertion: str | None = None, now: float | None = None, scope: str | None = None) -> Request:
        """The token request; without an assertion a fresh good one, without a scope the client's."""
        client = self.identity.client
        form = {
            "grant_type": JWT_BEARER,
            "assertion": assertion or self.identity.assertion(time.time() if now is None else now, self.subject),
            **({"scope": scope or client.scope} if scope or client.scope else {}),
            **client.params,
        }
        return Request("POST", self.identity.endpoint, _FORM, urlencode(form).encode(), self.identity.tls)


def _error_code(content: object) -> str | None:
    code = content.get("error") if isinstance(content, Mapping) else None
    if not isinstance(code, str):
        return None
    return code if code in list(TokenError) else "other_error"


def signer_of(target: Target) -> Minter | None:
    """What signs as the issuer does, where the target lets us hold a signing key. Raises BadInputError."""
    if not target.signer:
        return None
    signer = target.signer[0]
    return Minter(target.signing_key("[[signer]]", signer.key, signer.alg, signer.kid))
