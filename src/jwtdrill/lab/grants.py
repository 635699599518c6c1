"""What the lab's token endpoint grants, and to whom: client authentication, the four grants, revocation.

client_credentials (RFC 6749 section 4.4), jwt-bearer (RFC 7523 section 2.1), token exchange with delegation and with
tokens of a foreign issuer (RFC 8693), refresh with rotation (RFC 9700 section 4.14). Clients authenticate by assertion
or secret. A token request with a proof gets a token that is bound to its key (RFC 9449 section 5).
"""

import base64
import binascii
import hmac
import itertools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote_plus

import jwt

from jwtdrill.catalog.reasons import TokenError
from jwtdrill.flows.refresh import REFRESH_TOKEN
from jwtdrill.flows.token import CLIENT_ASSERTION, CLIENT_CREDENTIALS, JWT_BEARER
from jwtdrill.flows.token_exchange import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE
from jwtdrill.lab.assertions import AssertionChecker, AssertionRefused
from jwtdrill.lab.foreign import ForeignKeys
from jwtdrill.lab.keyring import Keyring
from jwtdrill.lab.settings import ClientSettings, IssuerSettings
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.tokens.reading import claims_of, kid_of, numeric_date
from jwtdrill.verify.certificate import THUMBPRINT
from jwtdrill.verify.keyset import TrustedKey, parse_keyset, select

GRANT_TYPES = (CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE, REFRESH_TOKEN)
OFFLINE = "offline_access"
_MOST_FAMILIES = 100_000
_REFRESH_LIFETIME = 3600.0  # seconds


class Refused(Exception):  # noqa: N818 - an OAuth error is an answer, not a fault of ours
    """A request is refused with an error of RFC 6749 section 5.2."""

    def __init__(self, error: TokenError, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class Bearing:
    """How a request comes: its form, its Authorization header, the thumbprints of the key that its proof shows and of
    the certificate that its TLS does.
    """

    form: Mapping[str, str]
    authorization: str = ""
    thumbprint: str | None = None
    certificate: str | None = None

    @property
    def confirmation(self) -> dict[str, str]:
        """What a token for it is bound to (RFC 7800 section 3)."""
        members = {"jkt": self.thumbprint, THUMBPRINT: self.certificate}
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Granted:
    """What a token is to say beside the usual."""

    client: ClientSettings
    subject: str
    scope: str
    extra: Mapping[str, Any]
    family: str | None = None
    issued_type: bool = False


@dataclass(frozen=True, slots=True)
class _Family:
    """The refresh tokens that follow from one grant: the one in force, and what it gives."""

    current: str
    granted: _Granted
    confirmation: Mapping[str, str]
    expires: float


class Grants:
    """The rules of one issuer. `now`: a clock in Unix time."""

    def __init__(
        self,
        settings: IssuerSettings,
        keyring: Keyring,
        foreign: ForeignKeys,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._now = now
        self._clients = {client.id: client for client in settings.clients}
        self.token_endpoint = settings.token_endpoint or f"{settings.url}/token"
        self._assertions = AssertionChecker(
            {c.id: (c.jwk, c.alg) for c in settings.clients if c.jwk},
            audiences=(settings.url, self.token_endpoint),
            leeway=settings.leeway,
        )
        self._families: dict[str, _Family] = {}
        self._revoked: dict[str, float] = {}
        self._padding = {"padding": "x" * settings.token_padding} if settings.token_padding else {}
        self._foreign = foreign
        self.keys_changed()

    def grant(self, grant_type: str, bearing: Bearing) -> dict[str, object]:
        """The answer to a token request. Raises Refused."""
        match grant_type:
            case _ if grant_type == CLIENT_CREDENTIALS:
                client = self.authenticate(bearing)
                granted = _Granted(client, client.id, self._scope(bearing, client), {})
            case _ if grant_type == JWT_BEARER:
                granted = self._by_assertion(bearing)
            case _ if grant_type == TOKEN_EXCHANGE:
                granted = self._exchanged(bearing)
            case _:
                granted = self._refreshed(bearing)
        return self._issue(granted, bearing.confirmation)

    def authenticate(self, bearing: Bearing) -> ClientSettings:
        """The client that asks, by assertion, certificate or secret. Raises Refused."""
        form = bearing.form
        if "client_assertion" in form or "client_assertion_type" in form:
            if form.get("client_assertion_type") != CLIENT_ASSERTION:
                raise Refused(TokenError.INVALID_CLIENT, "client_assertion_type is not jwt-bearer", 401)
            name, _ = self._check(form.get("client_assertion"), TokenError.INVALID_CLIENT, own=True)
            if form.get("client_id", name) != name:
                raise Refused(TokenError.INVALID_CLIENT, "client_id and the assertion differ", 401)
            return self._clients[name]
        name, secret = _secret_of(bearing)
        client = self._clients.get(name)
        if client is not None and client.certificate and bearing.certificate == client.certificate:
            return client
        if client is None or not client.secret or not hmac.compare_digest(client.secret.encode(), secret.encode()):
            raise Refused(TokenError.INVALID_CLIENT, "the client does not prove who it is", 401)
        return client

    def introspect(self, token: str) -> Mapping[str, Any]:
        """What a token of ours says, as RFC 7662 section 2.2 wants it; inactive for any other."""
        claims = self.own_claims(token)
        if claims is None:
            return {"active": False}
        shown = ("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "client_id", "cnf", "act")
        kind = "DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer"
        return {"active": True, "token_type": kind, **{name: claims[name] for name in shown if name in claims}}

    def revoke(self, token: str, client: ClientSettings) -> None:
        """End an access token, or a refresh token with its family; one that is none of ours is let be.

        Raises Refused for a token of another client (RFC 7009 section 2.1).
        """
        family = self._families.get(token.partition(".")[0])
        claims = self.own_claims(token)
        owner = family.granted.client.id if family is not None else (claims or {}).get("client_id", client.id)
        if owner != client.id:
            raise Refused(TokenError.UNAUTHORIZED_CLIENT, "the token is another client's")
        if family is not None:
            del self._families[token.partition(".")[0]]
        elif claims is not None:
            self._revoked[claims["jti"]] = float(claims["exp"])

    def revoked(self) -> list[str]:
        """The jti of each token that was revoked and has not expired."""
        now = self._now()
        self._revoked = {jti: exp for jti, exp in self._revoked.items() if exp + self._settings.leeway > now}
        return sorted(self._revoked)

    def own_claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this issuer signed, that is in its time and that was not revoked."""
        claims = _verified(token, self._own)
        if claims is None or claims.get("iss") != self._settings.url or not self._in_time(claims):
            return None
        named = all(isinstance(claims.get(name), str) for name in ("sub", "jti"))
        return claims if named and claims["jti"] not in self._revoked else None

    def keys_changed(self) -> None:
        """Sign with the keys that are active now, in turn, and take the tokens of those that are published."""
        self._minters = itertools.cycle([Minter(key) for key in self._keyring.signers])
        document = self._keyring.document()
        self._own = parse_keyset(json.dumps(document).encode()) if document["keys"] else ()

    def _by_assertion(self, bearing: Bearing) -> _Granted:
        if "client_assertion" in bearing.form:
            self.authenticate(bearing)
        name, subject = self._check(bearing.form.get("assertion"), TokenError.INVALID_GRANT, own=False)
        client = self._clients[name]
        scope = self._scope(bearing, client)
        family = secrets.token_urlsafe(12) if OFFLINE in scope.split(" ") else None
        return _Granted(client, subject, scope, {}, family)

    def _exchanged(self, bearing: Bearing) -> _Granted:
        client = self.authenticate(bearing)
        form = bearing.form
        subject = self._exchangeable(form.get("subject_token"), form.get("subject_token_type"), bearing)
        extra: dict[str, Any] = {}
        if "actor_token" in form:
            actor = self._exchangeable(form["actor_token"], form.get("actor_token_type"), bearing)
            extra["act"] = {"sub": actor["sub"], **({"act": subject["act"]} if "act" in subject else {})}
        elif "act" in subject:
            extra["act"] = subject["act"]
        if subject["iss"] != self._settings.url:
            extra["idp"] = subject["iss"]
        if "roles" in subject:
            extra["roles"] = subject["roles"]
        return _Granted(client, subject["sub"], self._scope(bearing, client), extra, issued_type=True)

    def _exchangeable(self, token: str | None, kind: str | None, bearing: Bearing) -> Mapping[str, Any]:
        if not token or kind not in (ACCESS_TOKEN, JWT):
            raise Refused(TokenError.INVALID_REQUEST, "the token or its type is missing or not known")
        claims = self.own_claims(token) or self._foreign_claims(token)
        if claims is None or not isinstance(claims.get("sub"), str):
            raise Refused(TokenError.INVALID_GRANT, "the token is not good here")
        bound = claims.get("cnf", {})
        if not isinstance(bound, Mapping) or any(bearing.confirmation.get(name) != to for name, to in bound.items()):
            raise Refused(TokenError.INVALID_GRANT, "the token is bound to another key or certificate")
        return claims

    def _foreign_claims(self, token: str) -> dict[str, Any] | None:
        if not self._settings.foreign_issuer or (claims_of(token) or {}).get("iss") != self._settings.foreign_issuer:
            return None
        keys = self._foreign.on_hand()
        if not keys:
            raise Refused(TokenError.TEMPORARILY_UNAVAILABLE, "the foreign issuer's keys cannot be had", 503)
        claims = _verified(token, keys)
        if claims is None:
            return None
        audience = claims.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        if not {self._settings.url, self.token_endpoint} & {name for name in meant if isinstance(name, str)}:
            return None
        return claims if self._in_time(claims) else None

    def _in_time(self, claims: Mapping[str, Any]) -> bool:
        now, leeway = self._now(), self._settings.leeway
        expires, begins, issued = (numeric_date(claims.get(name, 0)) for name in ("exp", "nbf", "iat"))
        if expires is None or begins is None or issued is None:
            return False
        return expires > now and max(begins, issued) - leeway <= now

    def _refreshed(self, bearing: Bearing) -> _Granted:
        client = self.authenticate(bearing)
        token = bearing.form.get(REFRESH_TOKEN, "")
        name = token.partition(".")[0]
        family = self._families.get(name)
        if family is None or family.granted.client.id != client.id or family.expires <= self._now():
            raise Refused(TokenError.INVALID_GRANT, "the refresh token is not good")
        if not hmac.compare_digest(family.current.encode(), token.encode()):
            del self._families[name]  # somebody has used it before: whoever has the next one must not use it either
            raise Refused(TokenError.INVALID_GRANT, "the refresh token was used before: its whole family is ended")
        if any(bearing.confirmation.get(name) != bound for name, bound in family.confirmation.items()):
            raise Refused(TokenError.INVALID_GRANT, "the refresh token is bound to another key or certificate")
        return replace(family.granted, family=name)

    def _issue(self, granted: _Granted, confirmation: Mapping[str, str]) -> dict[str, object]:
        lifetime = self._settings.token_lifetime
        bound = {"cnf": confirmation} if confirmation else {}
        token = next(self._minters).mint(
            Claims.lasting(
                lifetime,
                now=self._now(),
                iss=self._settings.url,
                sub=granted.subject,
                aud=self._settings.audience,
                scope=granted.scope,
                client_id=granted.client.id,
                extra={**granted.extra, **bound, **self._padding},
            )
        )
        answer: dict[str, object] = {
            "access_token": token,
            "token_type": "DPoP" if "jkt" in confirmation else "Bearer",
            "expires_in": lifetime,
            "scope": granted.scope,
        }
        if granted.family is not None:
            answer["refresh_token"] = self._next_of(granted, confirmation)
        if granted.issued_type:
            answer["issued_token_type"] = ACCESS_TOKEN
        return answer

    def _next_of(self, granted: _Granted, confirmation: Mapping[str, str]) -> str:
        assert granted.family is not None
        while len(self._families) >= _MOST_FAMILIES:
            del self._families[next(iter(self._families))]
        token = f"{granted.family}.{secrets.token_urlsafe(24)}"
        self._families[granted.family] = _Family(token, granted, confirmation, self._now() + _REFRESH_LIFETIME)
        return token

    def _scope(self, bearing: Bearing, client: ClientSettings) -> str:
        default = " ".join(scope for scope in client.scopes if scope != OFFLINE)
        scope = bearing.form.get("scope", default)
        if not set(scope.split(" ")) <= set(client.scopes):
            raise Refused(TokenError.INVALID_SCOPE, "more scope than the client may have")
        return scope

    def _check(self, assertion: str | None, error: TokenError, *, own: bool) -> tuple[str, str]:
        if not assertion:
            raise Refused(TokenError.INVALID_REQUEST, "the assertion is missing")
        try:
            return self._assertions.check(assertion, speaks_for_itself=own, now=self._now())
        except AssertionRefused as refusal:
            raise Refused(error, str(refusal), 401 if error is TokenError.INVALID_CLIENT else 400) from None


def _secret_of(bearing: Bearing) -> tuple[str, str]:
    """Client and secret from the Authorization header or the form, not from both (RFC 6749 section 2.3)."""
    kind, _, encoded = bearing.authorization.partition(" ")
    in_form = bearing.form.get("client_secret")
    if kind.lower() == "basic":
        if in_form is not None:
            raise Refused(TokenError.INVALID_REQUEST, "the client authenticates in two ways")
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(TokenError.INVALID_CLIENT, "the Authorization header is malformed", 401) from None
        return unquote_plus(name), unquote_plus(secret)
    return bearing.form.get("client_id", ""), in_form or ""


def _verified(token: str, keys: tuple[TrustedKey, ...]) -> dict[str, Any] | None:
    """The claims of a token that one of these keys signed. Times are the caller's to check."""
    try:
        alg = str(jwt.get_unverified_header(token).get("alg"))
        key = select(keys, kid_of(token) or None, alg)
        if key is None:
            return None
        jwt.PyJWS().decode(token, key.key, algorithms=[alg])
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        return None
    return claims_of(token)
