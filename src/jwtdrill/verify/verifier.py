"""Verifies access tokens (RFC 7519, RFC 8725, RFC 9068) over PyJWT and says why one is refused.

PyJWT checks form and signature. Claims are checked here: each has its reason, times go by a clock that is passed in,
and a refusal for the clock's sake must still tell what the clock's offset is.
"""

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.reading import json_object, media_type
from jwtdrill.verify.cache import JwksCache
from jwtdrill.verify.decisions import Decision, DecisionCache
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.keyset import ASYMMETRIC_ALGORITHMS, TrustedKey
from jwtdrill.verify.metrics import VerificationMetrics
from jwtdrill.verify.replay import ReplayMemory, ReplayStore
from jwtdrill.verify.scopes import ScopeLimit, scopes_of

Claims = Mapping[str, Any]
Check = Callable[[Claims], None]
Waiting = Generator[
    tuple[Future[Any], float], None, Claims
]  # what must be waited for, and for how many seconds at most
_log = logging.getLogger(__name__)
_EXACT = 2**53  # whole seconds below this are what they say, also as a float
_WAIT_MARGIN = 1.0  # seconds beyond the fetch's own timeout, for the thread to be scheduled
_STORE_SECONDS = 1.0  # for a store of used tokens to answer


@dataclass(frozen=True, slots=True)
class VerifierPolicy:
    """What a token must be. `leeway`: seconds of clock difference forgiven; `max_bytes`: of the compact form;
    `scope`: that it must carry; `types`: of the header in lower case, without `application/`, which it may have or not
    (RFC 7515 section 4.1.9), an empty one for none (RFC 8725 section 3.11). `most_scope`: scopes, or patterns such as
    `orders:*`, beyond which a token carries too much: it is accepted, and counted once; by default nothing is too much.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    leeway: float = 30.0
    max_bytes: int = 16 * 1024
    required: tuple[str, ...] = ("iss", "aud", "exp", "iat", "sub")
    scope: str | None = None
    types: tuple[str, ...] = ("at+jwt", "jwt", "")
    most_scope: tuple[str, ...] | None = None

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
    revoked_keys: asked with the kid of its key, whether that is revoked; such a token is refused, or where
    refuse_revoked_keys is False let in and counted. replays: where uses of tokens that are good once are remembered,
    in this process by default.
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
        revoked_keys: Callable[[str], bool] | None = None,
        refuse_revoked_keys: bool = True,
        replays: ReplayStore | None = None,
    ) -> None:
        if decisions < 0:
            raise ValueError(f"decisions must be 0 or more, not {decisions}")
        instruments = instruments or Instruments()
        self.policy = policy
        self._cache = cache
        self._clock = clock
        self._decisions = DecisionCache(decisions) if decisions else None
        self._decision_lifetime = decision_lifetime
        self._revoked = revoked
        self._revoked_keys = revoked_keys
        self._refuse_revoked_keys = refuse_revoked_keys
        self._replays: ReplayStore = replays or ReplayMemory()
        self._scope_limit = ScopeLimit(policy.most_scope) if policy.most_scope is not None else None
        self._metrics = VerificationMetrics(
            instruments, policy.issuer, policy.audience, policy.algorithms, offset_window
        )
        self._asks_revocation = revoked is not None or (revoked_keys is not None and refuse_revoked_keys)
        self._notes = self._scope_limit is not None or revoked_keys is not None
        if self._scope_limit is not None:
            self._excess_scope = instruments.counter(metrics.TOKEN_EXCESS_SCOPE).labels(policy.issuer)
        if revoked_keys is not None:
            self._revoked_key_accepted = instruments.counter(metrics.REVOKED_KEY_ACCEPTED).labels(policy.issuer)
        self._jws = jwt.PyJWS()

    def verify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """The claims of a good token. Raises VerificationError. May wait for a fetch of keys.

        once: it is good here once only, by its jti, which it must have. check: what else must be so for this request,
        such as a proof that belongs to the token; raises VerificationError, and then the token is not used up.
        """
        known = None if once else self._remembered(token, check)
        if known is not None:
            return known
        steps = self._steps(token, once, check)
        try:
            awaited, seconds = next(steps)
            while True:
                wait_for([awaited], seconds)
                awaited, seconds = steps.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        """As `verify`, without stopping the event loop while it waits."""
        known = None if once else self._remembered(token, check)
        if known is not None:
            return known
        steps = self._steps(token, once, check)
        try:
            awaited, seconds = next(steps)
            while True:
                await _done(awaited, seconds)
                awaited, seconds = steps.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _remembered(self, token: str, check: Check | None) -> Claims | None:
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
        if self._asks_revocation and self._is_revoked(claims, key):
            self._decisions.drop(token)
            return None
        if "iat" in claims:
            self._metrics.seen(issued=float(claims["iat"]), expires=float(claims["exp"]), now=now)
        if check is not None:
            try:
                check(claims)
            except VerificationError as refusal:
                self._metrics.refused(decision.kid, decision.alg, refusal.reason, time.perf_counter() - started)
                raise
        if self._notes:
            self._note(token, claims, key)
        self._metrics.accepted(decision.kid, decision.alg, time.perf_counter() - started, remembered=True)
        return claims

    def _steps(self, token: str, once: bool, check: Check | None) -> Waiting:
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
            claims, key = yield from self._verify(token, kid, alg)
            if check is not None:
                check(claims)
            if once:
                yield from self._use_up(claims)
        except VerificationError as refusal:
            self._metrics.refused(self._known(kid), alg, refusal.reason, time.perf_counter() - started)
            raise
        if self._notes:
            self._note(token, claims, key)
        self._metrics.accepted(kid, alg, time.perf_counter() - started)
        return claims

    def _verify(
        self, token: str, kid: str | None, alg: str
    ) -> Generator[tuple[Future[Any], float], None, tuple[Claims, TrustedKey]]:
        seen = self._cache.on_hand()
        key = seen.find(kid, alg)
        while key is None:
            refresh = self._cache.request_refresh(seen)
            if refresh is None:
                raise self._no_key()
            yield refresh.done, self._fetch_seconds
            seen = self._cache.on_hand()
            key = seen.find(kid, alg)
            if key is None and not (refresh.joined and refresh.done.done()):
                raise self._no_key()  # it was fetched for this token, or did not end in time
        try:
            return self._accept(token, kid, alg, key), key
        except VerificationError as refusal:
            if refusal.reason is not Reason.BAD_SIGNATURE:
                raise
            refresh = self._cache.request_refresh(seen)  # the same kid may name another key by now
            if refresh is None:
                raise
            yield refresh.done, self._fetch_seconds
            changed = self._cache.on_hand().find(kid, alg)
            if changed is None or changed.fingerprint == key.fingerprint:
                raise
        return self._accept(token, kid, alg, changed), changed

    def _accept(self, token: str, kid: str | None, alg: str, key: TrustedKey) -> Claims:
        claims = self._check(token, alg, key)
        if self._asks_revocation and self._is_revoked(claims, key):
            raise VerificationError(Reason.REVOKED, "it was revoked, or its key was")
        if self._decisions is not None:
            until = self._clock() + self._decision_lifetime
            decision = Decision.of(claims, kid=kid, alg=alg, key=key, leeway=self.policy.leeway, until=until)
            self._decisions.keep(token, decision)
        return claims

    def _is_revoked(self, claims: Claims, key: TrustedKey) -> bool:
        if self._revoked is not None and self._revoked(claims):
            return True
        return self._refuse_revoked_keys and self._of_revoked_key(key)

    def _of_revoked_key(self, key: TrustedKey) -> bool:
        return self._revoked_keys is not None and key.kid is not None and self._revoked_keys(key.kid)

    def _use_up(self, claims: Claims) -> Generator[tuple[Future[Any], float], None, None]:
        """That it is used for the first time. Where that cannot be told it is refused: once must not become twice."""
        jti = claims.get("jti")
        if not jti:
            raise VerificationError(Reason.MISSING_CLAIM, "without a jti nobody can see that it comes again")
        seconds = float(claims["exp"]) + self.policy.leeway - self._clock()
        first: bool | Future[bool] | None = None
        try:
            first = self._replays.first_use(self.policy.issuer, jti, seconds)
            if isinstance(first, Future):
                yield first, _STORE_SECONDS
                first = first.result(0)
        except Exception as error:  # noqa: BLE001 - a store of the service's own, with errors of its own
            first = None
            _log.warning("uses of tokens of %s cannot be told: %s", self.policy.issuer, type(error).__name__)
        if first is None:
            raise VerificationError(Reason.REPLAY_UNKNOWN, "whether it was used before cannot be told")
        if not first:
            raise VerificationError(Reason.REPLAYED, "it was used before")

    def _note(self, token: str, claims: Claims, key: TrustedKey) -> None:
        """Count what is let in, and should not have been granted or should be refused everywhere by now."""
        if self._scope_limit is not None and self._scope_limit.newly_exceeded(token, claims):
            self._excess_scope.inc()
        if self._of_revoked_key(key):
            self._revoked_key_accepted.inc()

    @property
    def _fetch_seconds(self) -> float:
        return self._cache.policy.limits.timeout + _WAIT_MARGIN

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
        if policy.scope is not None and policy.scope not in scopes_of(claims):
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


async def _done(awaited: Future[Any], seconds: float) -> None:
    """Wait for it, and not for longer: what is on hand then decides."""
    waiting = asyncio.wrap_future(awaited)
    await asyncio.wait([waiting], timeout=seconds)
    if waiting.done() and not waiting.cancelled():
        waiting.exception()  # looked at, or asyncio complains; it is raised where the result is asked for


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
