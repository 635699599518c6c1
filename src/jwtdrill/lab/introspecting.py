"""A resource that asks the issuer about each token (RFC 7662), and holds no keys itself."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason, TokenError
from jwtdrill.lab.resource import guarded, own_instruments
from jwtdrill.lab.settings import IntrospectionSettings, read_settings
from jwtdrill.tokens.reading import claims_of, numeric_date
from jwtdrill.verify import Claims, VerificationError
from jwtdrill.verify.metrics import VerificationMetrics
from jwtdrill.verify.middleware import Application
from jwtdrill.verify.verifier import Check

_CONNECTIONS = 1000
_MOST_BYTES = 16 * 1024


class _NoAnswerError(Exception):
    """The issuer did not say; `error` is the label of the metric."""

    def __init__(self, error: TokenError) -> None:
        super().__init__(error)
        self.error = error


class Introspector:
    """Decides by what the issuer says of a token now, and by audience and scope, which are the resource's to check."""

    def __init__(
        self,
        settings: IntrospectionSettings,
        instruments: Instruments,
        secret: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        guard = settings.guard
        self._client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - the whole exchange has a limit
            limits=httpx.Limits(max_connections=_CONNECTIONS),
            auth=(settings.client_id, secret),
            headers={"User-Agent": settings.user_agent, "Accept": "application/json"},
            transport=transport,
        )
        self._metrics = VerificationMetrics(instruments, guard.issuer, guard.audience, (), guard.offset_window)
        asked = instruments.counter(metrics.INTROSPECTION)
        durations = instruments.histogram(metrics.INTROSPECTION_DURATION)
        labels = {error: ("failure" if error else "success", error) for error in ("", *TokenError)}
        self._asked = {error: asked.labels(guard.issuer, *rest) for error, rest in labels.items()}
        self._durations = {error: durations.labels(guard.issuer, *rest) for error, rest in labels.items()}

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """What the issuer says of a good token. Raises VerificationError; for one-time use always: none is noted."""
        started = time.perf_counter()
        try:
            if len(token) > _MOST_BYTES:
                raise VerificationError(Reason.TOO_LARGE, f"more than {_MOST_BYTES} bytes")
            if once:
                raise VerificationError(Reason.REPLAY_UNKNOWN, "nobody notes here what was used before")
            said = await self._ask(token)
            self._check(token, said)
            if check is not None:
                check(said)
        except VerificationError as refusal:
            self._metrics.refused(None, None, refusal.reason, time.perf_counter() - started)
            raise
        self._metrics.accepted(None, "", time.perf_counter() - started)
        return said

    async def _ask(self, token: str) -> Mapping[str, Any]:
        """The answer. Raises VerificationError for none: the service's failure, as if it had no keys."""
        started = time.perf_counter()
        error: TokenError | str = ""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return _read(
                    await self._client.post(
                        self._settings.introspection_uri,
                        data={"token": token, "token_type_hint": "access_token"},
                    )
                )
        except _NoAnswerError as failure:
            error = failure.error
        except (TimeoutError, httpx.HTTPError):
            error = TokenError.TEMPORARILY_UNAVAILABLE
        finally:
            self._asked[error].inc()
            self._durations[error].observe(time.perf_counter() - started)
        raise VerificationError(Reason.KEY_UNAVAILABLE, "the issuer does not say whether it is good")

    def _check(self, token: str, said: Mapping[str, Any]) -> None:
        if said["active"] is not True:
            raise _inactive(token)
        guard, now = self._settings.guard, time.time()
        issued, expires = numeric_date(said.get("iat")), numeric_date(said.get("exp"))
        if issued is not None and expires is not None:
            self._metrics.seen(issued=issued, expires=expires, now=now)
        audience = said.get("aud")
        if guard.audience not in (audience if isinstance(audience, list) else [audience]):
            raise VerificationError(Reason.WRONG_AUDIENCE, "it is meant for another audience")
        if guard.scope not in str(said.get("scope", "")).split(" "):
            raise VerificationError(Reason.INSUFFICIENT_SCOPE, "it does not carry the scope asked for")


def _read(response: httpx.Response) -> Mapping[str, Any]:
    try:
        said = response.json()
    except ValueError:
        said = None
    content: Mapping[str, Any] = said if isinstance(said, dict) else {}
    if response.status_code == httpx.codes.OK and isinstance(content.get("active"), bool):
        return content
    known = response.status_code != httpx.codes.OK and content.get("error") in list(TokenError)
    raise _NoAnswerError(TokenError(content["error"]) if known else TokenError.SERVER_ERROR)


def _inactive(token: str) -> VerificationError:
    """Why, the issuer does not say. What the token says of itself may tell; the rest is as ambiguous as a signature."""
    claims = claims_of(token)
    if claims is None:
        return VerificationError(Reason.MALFORMED, "it is malformed")
    expires = numeric_date(claims.get("exp"))
    if expires is not None and expires <= time.time():
        return VerificationError(Reason.EXPIRED, "its time is over")
    return VerificationError(Reason.BAD_SIGNATURE, "the issuer does not stand by it")


def build(settings: IntrospectionSettings) -> Application:
    """The application."""
    instruments = own_instruments()
    introspector = Introspector(settings, instruments, Path(settings.secret_file).read_text())
    return guarded(settings.guard, introspector, instruments)


def create() -> Application:
    """The application, from the settings that the environment names."""
    return build(read_settings(IntrospectionSettings))
