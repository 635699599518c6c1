"""Verifies access tokens (RFC 7519, RFC 8725, RFC 9068) over PyJWT and says why one is refused.

PyJWT checks form and signature. Claims are checked here: each has its reason, times go by a clock that is passed in,
and a refusal for the clock's sake must still tell what the clock's offset is.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.reading import json_object, media_type
from jwtdrill.verify.cache import JwksCache
from jwtdrill.verify.decisions import Decision, DecisionCache
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.keyset import ASYMMETRIC_ALGORITHMS, TrustedKey
from jwtdrill.verify.metrics import VerificationMetrics

Claims = Mapping[str, Any]
_EXACT = 2**53  # whole seconds below this are what they say, also as a float
_WAIT_MARGIN = 1.0  # seconds beyond the fetch's own timeout, for the thread to be scheduled


@dataclass(frozen=True, slots=True)
class VerifierPolicy:
    """What a token must be. `leeway`: seconds of clock difference forgiven; `max_bytes`: of the compact form;
    `scope`: that it must carry; `types`: of the header in lower case, without `application/`, which it may have or not
    (RFC 7515 section 4.1.9), an empty one for none (RFC 8725 section 3.11).
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    leeway: float = 30.0
    max_bytes: int = 16 * 1024
    required: tuple[str, ...] = ("iss", "aud", "exp", "iat", "sub")
    scope: str | None = None
    types: tuple[str, ...] = ("at+jwt", "jwt", "")

    def __post_init__(self) -> None:
        wrong = [name for name in self.algorithms if name not in ASYMMETRIC_ALGORITHMS]
        if wrong or not self.algorithms:
            raise ValueError(f"algorithms must be signatures with a public key, not {', '.join(wrong) or 'none'}")
        if "exp" not in self.required:
            raise ValueError("a token that never expires cannot be taken back: exp must be required")


class Verifier:
    """Accepts or refuses tokens of one issuer for one audience, from any thread or from asyncio.

    decisions: how many accepted tokens to remember, so that their next use costs no signature; none by default.
    decision_lifetime: seconds for which one is remembered at most.
    revoked: asked with the claims of every token that is otherwise good, remembered or not, whether it is revoked.
    """

    def __init__(
        self,
        policy: VerifierPolicy,
        cache: JwksCache,
        *,
        instruments: Instruments | None = None,
        clock: Callable[[], float] = time.time,
        offset_window: float = 60.0,
        decisions: int = 0,
        decision_lifetime: float = math.inf,
        revoked: Callable[[Claims], bool] | None = None,
    ) -> None:
        if decisions < 0:
            raise ValueError(f"decisions must be 0 or more, not {decisions}")
        self.policy = policy
        self._cache = cache
        self._clock = clock
        self._decisions = DecisionCache(decisions) if decisions else None
        self._decision_lifetime = decision_lifetime
        self._revoked = revoked
        self._metrics = VerificationMetrics(
            instruments or Instruments(), policy.issuer, policy.audience, policy.algorithms, offset_window
        )
        self._jws = jwt.PyJWS()

    def verify(self, token: str) -> Claims:
        """The claims of a good token. Raises VerificationError. May wait for a fetch of keys."""
        known = self._remembered(token)
        if known is not None:
            return known
        steps = self._steps(token)
        try:
            fetch = next(steps)
            while True:
                _wait(fetch, self._cache.policy.limits.timeout + _WAIT_MARGIN)
                fetch = steps.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def averify(self, token: str) -> Claims:
        """As `verify`, without stopping the event loop while keys are fetched."""
        known = self._remembered(token)
        if known is not None:
            return known
        steps = self._steps(token)
        try:
            fetch = next(steps)
            while True:
                await asyncio.wait(
                    [asyncio.wrap_future(fetch)], timeout=self._cache.policy.limits.timeout + _WAIT_MARGIN
                )
                fetch = steps.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _remembered(self, token: str) -> Claims | None:
        """The claims of a token that was accepted before and that nothing has changed for; else it is verified anew."""
        if self._decisions is None:
            return None
        started = time.perf_counter()
        decision = self._decisions.find(token)
        if decision is None:
            return None
        now = self._clock()
        key = self._cache.on_hand().find(decision.kid, decision.alg)
        if key is None or key.fingerprint != decision.fingerprint or not decision.in_time(now):
            self._decisions.drop(token)
            return None
        claims = decision.claims()
        if self._revoked is not None and self._revoked(claims):
            self._decisions.drop(token)
            return None
        if "iat" in claims:
            self._metrics.seen(issued=float(claims["iat"]), expires=float(claims["exp"]), now=now)
        self._metrics.accepted(decision.kid, decision.alg, time.perf_counter() - started, remembered=True)
        return claims

    def _steps(self, token: str) -> Generator[Future[None], None, Claims]:
        """Verify and count; yields what must be waited for, so that both ways of waiting share one logic."""
        started = time.perf_counter()
        kid = alg = None
        try:
            if len(token) > self.policy.max_bytes:
                raise VerificationError(Reason.TOO_LARGE, f"more than {self.policy.max_bytes} bytes")
            kid, alg, typ = _header(token.partition(".")[0])
            if alg not in self.policy.algorithms:
                raise VerificationError(Reason.ALGORITHM_NOT_ALLOWED, "the algorithm is not one of ours")
            if typ not in self.policy.types:
                raise VerificationError(Reason.MALFORMED, "it is of another type than an access token")
            claims = yield from self._verify(token, kid, alg)
        except VerificationError as refusal:
            self._metrics.refused(self._known(kid), alg, refusal.reason, time.perf_counter() - started)
            raise
        self._metrics.accepted(kid, alg, time.perf_counter() - started)
        return claims

    def _verify(self, token: str, kid: str | None, alg: str) -> Generator[Future[None], None, Claims]:
        seen = self._cache.on_hand()
        key = seen.find(kid, alg)
        while key is None:
            refresh = self._cache.request_refresh(seen)
            if refresh is None:
                raise self._no_key()
            yield refresh.done
            seen = self._cache.on_hand()
            key = seen.find(kid, alg)
            if key is None and not (refresh.joined and refresh.done.done()):
                raise self._no_key()  # it was fetched for this token, or did not end in time
        try:
            return self._accept(token, kid, alg, key)
        except VerificationError as refusal:
            if refusal.reason is not Reason.BAD_SIGNATURE:
                raise
            refresh = self._cache.request_refresh(seen)  # the same kid may name another key by now
            if refresh is None:
                raise
            yield refresh.done
            changed = self._cache.on_hand().find(kid, alg)
            if changed is None or changed.fingerprint == key.fingerprint:
                raise
        return self._accept(token, kid, alg, changed)

    def _accept(self, token: str, kid: str | None, alg: str, key: TrustedKey) -> Claims:
        claims = self._check(token, alg, key)
        if self._revoked is not None and self._revoked(claims):
            raise VerificationError(Reason.REVOKED, "it was revoked")
        if self._decisions is not None:
            until = self._clock() + self._decision_lifetime
            decision = Decision.of(claims, kid=kid, alg=alg, key=key, leeway=self.policy.leeway, until=until)
            self._decisions.keep(token, decision)
        return claims

    def _known(self, kid: str | None) -> str | None:
        return kid if kid is not None and self._cache.on_hand().knows(kid) else None

    def _no_key(self) -> VerificationError:
        if self._cache.on_hand().keys:
            return VerificationError(Reason.UNKNOWN_KID, "no published key has this kid and algorithm")
        return VerificationError(Reason.KEY_UNAVAILABLE, "the issuer's keys cannot be fetched")

    def _check(self, token: str, alg: str, key: TrustedKey) -> Claims:
        claims = self._signed_claims(token, alg, key)
        policy = self.policy
        for name in policy.required:
            if claims.get(name) in (None, []):  # an audience of nobody is none
                raise VerificationError(Reason.MISSING_CLAIM, "a required claim is missing")
        if claims.get("iss") != policy.issuer:
            raise VerificationError(Reason.WRONG_ISSUER, "it comes from another issuer")
        if not _is_meant_for(policy.audience, claims.get("aud")):
            raise VerificationError(Reason.WRONG_AUDIENCE, "it is meant for another audience")
        for name in ("sub", "jti"):
            if not isinstance(claims.get(name, ""), str):
                raise VerificationError(Reason.MALFORMED, f"{name} is not a string")
        self._check_times(claims)
        if policy.scope is not None and policy.scope not in _scopes(claims):
            raise VerificationError(Reason.INSUFFICIENT_SCOPE, "it does not carry the scope asked for")
        return claims

    def _signed_claims(self, token: str, alg: str, key: TrustedKey) -> dict[str, Any]:
        """The claims, once the signature fits. `alg` is one of ours and the key's, for it was found by it."""
        refusal: VerificationError | None = None
        claims: Any = None
        try:
            claims = json.loads(self._jws.decode(token, key.key, algorithms=(alg,)))
        except jwt.InvalidSignatureError:
            refusal = VerificationError(Reason.BAD_SIGNATURE, "the signature does not fit the key")
        except jwt.InvalidAlgorithmError:
            refusal = VerificationError(Reason.ALGORITHM_NOT_ALLOWED, "the algorithm does not fit the key")
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError, OverflowError):  # foreign input
            refusal = VerificationError(Reason.MALFORMED, "it is malformed")
        if refusal is not None:
            raise refusal  # out here, for a library's error holds the token's content, and would be its context
        if not isinstance(claims, dict):
            raise VerificationError(Reason.MALFORMED, "its claims are not a JSON object")
        return claims

    def _check_times(self, claims: Claims) -> None:
        now, leeway = self._clock(), self.policy.leeway
        expires = _seconds(claims, "exp")
        issued = _seconds(claims, "iat") if "iat" in claims else None
        not_before = _seconds(claims, "nbf") if "nbf" in claims else None
        if issued is not None:
            self._metrics.seen(issued=issued, expires=expires, now=now)
        if expires + leeway <= now:
            raise VerificationError(Reason.EXPIRED, "its time is over")
        if not_before is not None and not_before - leeway > now:
            raise VerificationError(Reason.NOT_YET_VALID, "its time has not begun")
        if issued is not None and issued - leeway > now:
            raise VerificationError(Reason.ISSUED_IN_FUTURE, "it was issued later than now")


def _wait(fetch: Future[None], seconds: float) -> None:
    try:
        fetch.result(seconds)
    except TimeoutError:
        return  # what is on hand decides


@lru_cache(maxsize=1024)
def _header(segment: str) -> tuple[str | None, str, str]:
    """kid, alg and typ of a header segment. The same header comes again and again: its parse is remembered."""
    header = json_object(segment)
    if header is None:
        raise VerificationError(Reason.MALFORMED, "its header is not a JSON object")
    kid, alg, typ = header.get("kid"), header.get("alg"), header.get("typ", "")
    if not isinstance(kid, str | None) or not isinstance(alg, str) or not isinstance(typ, str):
        raise VerificationError(Reason.MALFORMED, "alg, kid and typ must be strings")
    return kid, alg, media_type(typ)


def _seconds(claims: Claims, name: str) -> float:
    value = claims[name]
    if type(value) is int and -_EXACT < value < _EXACT:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise VerificationError(Reason.MALFORMED, f"{name} is not a NumericDate")


def _is_meant_for(audience: str, claimed: object) -> bool:
    """RFC 7519 section 4.1.3: one string, or a list of strings."""
    if isinstance(claimed, list):
        return audience in claimed and all(isinstance(name, str) for name in claimed)
    return claimed == audience


def _scopes(claims: Claims) -> list[str]:
    """Granted scopes (RFC 8693 section 4.2)."""
    granted = claims.get("scope", "")
    return granted.split(" ") if isinstance(granted, str) else []
