"""Sends the corpus once to everything that tells good tokens from bad ones, and says where it fails to.

A refusal proves something only if the same place accepts a good token before and after: what refuses everything, and
what asks for no token at all, *cannot be told*. So a good token is sent at the beginning, after every few cases, and
at the end; when one is not accepted, whatever came since the last that was counts for nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import httpx

from jwtdrill.catalog.verdicts import Expected, Verdict, held
from jwtdrill.errors import JwtdrillError
from jwtdrill.flows.call import challenge_error
from jwtdrill.flows.exchange import Judgement, Request, Response
from jwtdrill.probe.genuine import Allowance
from jwtdrill.probe.grounds import Ground
from jwtdrill.probe.listener import Listener
from jwtdrill.probe.sending import send
from jwtdrill.tokens.cases import CASES, Carrier, Case, History, Material, NotApplicableError
from jwtdrill.tokens.reading import claims_of

_BETWEEN_CHECKS = 40  # cases from one good token to the next
_PATIENCE = 3  # times that a case is sent again when the target asks for patience
_LONGEST_WAIT = 5.0  # seconds
_SETTLE = 0.3  # seconds for a verifier that follows a header beside its answer
_AGAIN = 2  # times that a server may ask for the same with a nonce of its own
_REVOCATION = 5.0  # seconds in which a revoked token should be refused
_REVOCATION_LOOK = 0.2
_MOST_ERRORS = 0.1  # share of bad tokens at a place beyond which it cannot be told
_LOCKED_OUT = 3  # cases in a row that a place wants patience for, and it is left
_NO_TOKEN = CASES["no_token"]
_VALID = CASES["valid"]
_FIRST = (_VALID, _NO_TOKEN)


class Outcome(StrEnum):
    """What became of one case at one place."""

    HELD = "held"
    FALSE_ACCEPT = "false_accept"
    FALSE_REJECT = "false_reject"
    FOLLOWED = "followed"  # refused, and yet it fetched what the token's header named
    REMARK = "remark"
    CANNOT_TELL = "cannot_tell"
    NOT_RUN = "not_run"

    @property
    def bad(self) -> bool:
        """Whether the target did what it must not."""
        return self in (self.FALSE_ACCEPT, self.FALSE_REJECT, self.FOLLOWED)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One case at one place. status: of HTTP, 0 without an answer. note: in words, why it counts so.

    challenge: the error code of a challenge where it is another than the case's own, and that; no failure.
    """

    place: str
    flow: str
    case: Case
    outcome: Outcome
    note: str = ""
    verdict: Verdict | None = None
    status: int = 0
    request: str = ""
    challenge: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Assault:
    """All attempts, in the order of places and cases."""

    attempts: tuple[Attempt, ...]
    seconds: float = 0.0
    asked_first: bool = False  # whether just those were asked for which every place is sent anyway

    def of(self, *outcomes: Outcome) -> list[Attempt]:
        """Those with such an outcome."""
        return [attempt for attempt in self.attempts if attempt.outcome in outcomes]

    @property
    def bad(self) -> list[Attempt]:
        """Those in which the target did what it must not."""
        return [attempt for attempt in self.attempts if attempt.outcome.bad]

    @property
    def ran(self) -> bool:
        """Whether anything was tried beside the good tokens and the missing ones that every place is sent."""
        return any(a.case not in _FIRST and a.outcome is not Outcome.NOT_RUN for a in self.attempts) or self.asked_first

    @property
    def why_not(self) -> str:
        """Why what was not run was not."""
        return "; ".join(dict.fromkeys(attempt.note for attempt in self.of(Outcome.NOT_RUN))) or "it fits no place"

    @property
    def untold(self) -> dict[str, str]:
        """Places of which nothing is known, or too little, and why."""
        return self._erring() | {attempt.place: attempt.note for attempt in reversed(self.of(Outcome.CANNOT_TELL))}

    def _erring(self) -> dict[str, str]:
        """Places that answer many bad tokens with what is neither an acceptance nor a refusal."""
        bad = [a for a in self.attempts if a.verdict is not None and a.case.expected is Expected.REJECTED]
        tried, erred = Counter(a.place for a in bad), Counter(a.place for a in bad if a.verdict is Verdict.ERRORED)
        return {
            place: f"{count} of {tried[place]} bad tokens met with an error: where that is meant as a refusal, say so "
            "by rejects in the target file"
            for place, count in erred.items()
            if count > _MOST_ERRORS * tried[place]
        }

    @property
    def held(self) -> bool:
        """Whether every place was seen to do right."""
        return not self.bad and not self.untold

    def tallies(self) -> list[dict[str, Any]]:
        """Counts as in a load run."""
        counts = Counter(
            (a.flow, a.case.id, a.place, a.case.expected, a.verdict) for a in self.attempts if a.verdict is not None
        )
        names = ("flow", "case", "resource", "expected", "verdict")
        return [{**dict(zip(names, key, strict=True)), "count": count} for key, count in sorted(counts.items())]


@dataclass
class Plan:
    """What to send where. rate: requests/s at most; asks: at most so many of the token endpoint; wait: seconds that may
    be spent on a token's expiry, or its key's. keys_last: seconds that the key set may be cached. remove_key:
    takes the key that signs out of the set for as long as it is entered; None where that is not to be done.
    """

    grounds: Sequence[Ground]
    cases: Sequence[Case]
    rate: float
    asks: Allowance
    wait: float = 0.0
    keys_last: float = 0.0
    remove_key: Callable[[], AbstractContextManager[object]] | None = None


async def attack(plan: Plan, client: httpx.AsyncClient, tick: Callable[[str], None] = lambda _: None) -> Assault:
    """Run it. `tick` is told how far it is."""
    started = time.monotonic()
    attempts: list[Attempt] = []
    async with Listener() as listener:
        for ground in plan.grounds:
            attempts += await _Siege(plan, ground, client, listener, tick).run()
        await asyncio.sleep(_SETTLE)
        attempts = [_look_at_visits(attempt, listener.visited) for attempt in attempts]
    return Assault(tuple(attempts), time.monotonic() - started, any(case in _FIRST for case in plan.cases))


def _look_at_visits(attempt: Attempt, visited: Iterable[str]) -> Attempt:
    if attempt.outcome is Outcome.HELD and _visit_mark(attempt.place, attempt.case) in visited:
        return replace(attempt, outcome=Outcome.FOLLOWED, note="refused, and yet it fetched the URL in the header")
    return attempt


def _visit_mark(place: str, case: Case) -> str:
    return f"{case.id}-{abs(hash(place)) % 10**8}"


class _Siege:
    """The corpus at one place."""

    def __init__(
        self, plan: Plan, ground: Ground, client: httpx.AsyncClient, listener: Listener, tick: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._ground = ground
        self._client = client
        self._listener = listener
        self._tick = tick
        self._next = time.monotonic()
        self._unproved: list[Attempt] = []
        self._proved: list[Attempt] = []
        self._last: Verdict | None = None  # on a good token

    async def run(self) -> list[Attempt]:
        cases = [case for case in self._plan.cases if self._ground.takes(case) and case not in _FIRST]
        why = await self._refuses_good_for_long() or await self._asks_for_nothing()
        if why and self._ground.optional and self._last is Verdict.ERRORED:
            return [self._skipped(case, Outcome.NOT_RUN, f"not to be had for such tokens: {why}") for case in cases]
        if why:
            return [*self._proved, *(self._skipped(case, Outcome.CANNOT_TELL, why) for case in cases)]
        for number, case in enumerate(cases, 1):
            self._tick(f"{self._ground.label}: {number} of {len(cases)} cases")
            self._unproved.append(await self._try(case))
            latest = self._unproved[-_LOCKED_OUT:]
            if len(latest) == _LOCKED_OUT and all(attempt.verdict is Verdict.THROTTLED for attempt in latest):
                rest = [self._skipped(left, Outcome.CANNOT_TELL, _IMPATIENT) for left in cases[number:]]
                return [*self._proved, *self._unproved, *rest]
            if number % _BETWEEN_CHECKS == 0 or number == len(cases):
                await self._prove()
        return self._proved

    async def _refuses_good(self) -> str:
        attempt = await self._try(_VALID)
        self._last = attempt.verdict
        if attempt.outcome is Outcome.HELD:
            self._proved.append(attempt)
            return ""
        return f"a good token is not accepted ({attempt.note}), so that a refusal says nothing"

    async def _refuses_good_for_long(self) -> str:
        """The same, with time for verifiers to learn of the keys that we have had changed."""
        until = time.monotonic() + (self._plan.wait if self._plan.remove_key is not None else 0)
        while (why := await self._refuses_good()) and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(_REVOCATION_LOOK)
        return why

    async def _asks_for_nothing(self) -> str:
        if not self._ground.takes(_NO_TOKEN):
            return ""
        attempt = await self._try(_NO_TOKEN)
        self._proved.append(attempt)
        if attempt.outcome is Outcome.FALSE_ACCEPT:
            return "it asks for no token; where its answer means a refusal, say so by rejects in the target file"
        return ""

    async def _prove(self) -> None:
        """What was seen since the last good token counts only if a good one is accepted still."""
        why = await self._refuses_good()
        for attempt in self._unproved:
            if why and attempt.outcome not in (Outcome.FALSE_ACCEPT, Outcome.NOT_RUN):
                self._proved.append(self._skipped(attempt.case, Outcome.CANNOT_TELL, f"afterwards {why}"))
            else:
                self._proved.append(attempt)
        self._unproved.clear()

    async def _try(self, case: Case) -> Attempt:
        ground = self._ground
        mark = f"{self._listener.url}/{_visit_mark(ground.label, case)}"
        for _ in range(_AGAIN + 1):
            try:
                material = await ground.material(mark, fresh=case.history is not History.NONE)
            except JwtdrillError as error:  # no token, or none any more: what was seen until now counts
                return self._skipped(case, Outcome.CANNOT_TELL, str(error))
            missing = case.missing(material)
            if missing is not None:
                return self._skipped(case, Outcome.NOT_RUN, f"needs {_NEEDS[missing]}")
            if ground.asks_issuer and not self._plan.asks.take():
                return self._skipped(case, Outcome.NOT_RUN, "the target file's limits.tokens is used up")
            try:
                token = case.forge(material)
                request = ground.request(token, case.carrier)
            except NotApplicableError as error:
                return self._skipped(case, Outcome.NOT_RUN, str(error))
            response = await self._send(request)
            if not ground.wants_again(response):
                break
        if case.history is not History.NONE:
            return await self._afterwards(case, material, token, request, response)
        return self._judged(case, material, request, response)

    async def _afterwards(
        self, case: Case, material: Material, token: str, request: Request, first: Response
    ) -> Attempt:
        """The very same request again, once what the case is about has happened."""
        if case.history is History.EXPIRED and (seconds := _lasts(token) + material.leeway + 1) > self._plan.wait:
            return self._skipped(case, Outcome.NOT_RUN, f"takes {seconds:.0f} s: say --wait {seconds:.0f}")
        before = self._ground.judge(first)
        if before.verdict is not Verdict.ACCEPTED:
            return self._skipped(case, Outcome.NOT_RUN, f"it was not accepted before ({before.remark})")
        if case.history is History.EXPIRED:
            await asyncio.sleep(seconds)
        if case.history is History.REVOKED:
            if self._ground.revoke is None:
                return self._skipped(case, Outcome.NOT_RUN, "the issuer names no revocation endpoint")
            taken = await self._ground.revoke(token)
            if taken.verdict is not Verdict.ACCEPTED:
                return self._skipped(case, Outcome.NOT_RUN, f"the issuer does not revoke it ({taken.remark})")
        if case.history is History.KEY_REMOVED:
            return await self._without_its_key(case, material, token, request)
        return await self._everywhere(case, material, token, request)

    async def _without_its_key(self, case: Case, material: Material, token: str, request: Request) -> Attempt:
        if self._plan.remove_key is None:
            why = "say --remove-key, where the target file lets keys.rotate_without_overlap be broken"
            return self._skipped(case, Outcome.NOT_RUN, why)
        if self._plan.wait < self._plan.keys_last + _REVOCATION:
            seconds = self._plan.keys_last + _REVOCATION
            return self._skipped(case, Outcome.NOT_RUN, f"takes up to {seconds:.0f} s: say --wait {seconds:.0f}")
        held = self._plan.remove_key()
        await asyncio.to_thread(held.__enter__)
        try:
            attempt = await self._everywhere(case, material, token, request)
        finally:
            await asyncio.to_thread(held.__exit__, None, None, None)
        await self._refuses_good_for_long()
        return attempt

    async def _everywhere(self, case: Case, material: Material, token: str, request: Request) -> Attempt:
        """The same token again, at every node."""
        began = time.monotonic()
        for number in range(1 + len(self._ground.elsewhere(request))):

            def again(number: int = number) -> Request:
                """The same token; a request may have a part of its own that serves once only."""
                fresh = self._ground.request(token, case.carrier)
                return (fresh, *self._ground.elsewhere(fresh))[number]

            place, response = await self._answer_now(case, again, began)
            attempt = self._judged(case, material, place, response)
            if attempt.outcome is not Outcome.HELD:
                return replace(attempt, note=f"{attempt.note}, {time.monotonic() - began:.0f} s on, at {place.url}")
        return replace(attempt, note=f"refused after {time.monotonic() - began:.1f} s")

    async def _answer_now(self, case: Case, again: Callable[[], Request], began: float) -> tuple[Request, Response]:
        """What is said of the token now; a revocation has its time to become known."""
        while True:
            request = again()
            response = await self._send(request)
            patience = {History.REVOKED: _REVOCATION, History.KEY_REMOVED: self._plan.wait}.get(case.history, 0.0)
            late = time.monotonic() - began >= patience
            if late or self._ground.judge(response).verdict is not Verdict.ACCEPTED:
                return request, response
            await asyncio.sleep(_REVOCATION_LOOK)

    async def _send(self, request: Request) -> Response:
        response = Response(0)
        for _ in range(_PATIENCE + 1):
            await self._pace()
            response = await send(self._client, request)
            if self._ground.judge(response).verdict is not Verdict.THROTTLED:
                break
            await asyncio.sleep(min(_LONGEST_WAIT, _retry_after(response)))
        return response

    async def _pace(self) -> None:
        now = time.monotonic()
        due = max(now, self._next)
        self._next = due + 1 / self._plan.rate
        await asyncio.sleep(due - now)

    def _judged(self, case: Case, material: Material, request: Request, response: Response) -> Attempt:
        judged = self._ground.judge(response)
        debatable = case.debatable(material)
        outcome, note = _outcome(case, judged, debatable)
        place, flow = self._ground.label, self._ground.flow
        shown = shown_request(request, case.carrier)
        said = challenge_error(response)
        right = self._ground.error_for(case)
        odd = (said, right) if said and judged.verdict is Verdict.REJECTED and said != right else None
        return Attempt(place, flow, case, outcome, note, judged.verdict, response.status, shown, odd)

    def _skipped(self, case: Case, outcome: Outcome, why: str) -> Attempt:
        return Attempt(self._ground.label, self._ground.flow, case, outcome, why)


_IMPATIENT = "the target asks for patience: set a lower rate under [limits]"
_NEEDS = {
    "jwks": "the issuer's published keys",
    "genuine": "a genuine token",
    "signer": "a [[signer]]: a key of the issuer that we may hold",
}


def _outcome(case: Case, judged: Judgement, debatable: str) -> tuple[Outcome, str]:
    verdict = judged.verdict
    if held(case.expected, verdict):
        return Outcome.HELD, judged.remark
    if verdict is Verdict.THROTTLED:
        return Outcome.CANNOT_TELL, _IMPATIENT
    if debatable:
        return Outcome.REMARK, f"{verdict}, and may be: {debatable}"
    if verdict is Verdict.ACCEPTED:
        return Outcome.FALSE_ACCEPT, case.attacks
    if case.expected is Expected.ACCEPTED:
        return Outcome.FALSE_REJECT, judged.remark
    return Outcome.REMARK, f"neither accepted nor refused: {judged.remark}"


def _lasts(token: str) -> float:
    """Seconds from its issue to its expiry."""
    claims = claims_of(token) or {}
    return float(claims.get("exp", 0)) - float(claims.get("iat", 0))


def _retry_after(response: Response) -> float:
    text = response.headers.get("retry-after", "1")
    return float(text) if text.isdecimal() else 1.0


def shown_request(request: Request, carrier: Carrier) -> str:
    """The request in one line, with nothing in it that is worth stealing."""
    where = {
        Carrier.QUERY: "the token in the query",
        Carrier.FORM: "the token in the form",
        Carrier.NOTHING: "no token",
        Carrier.IDENTITY_HEADERS: "no token, and X-User and its like",
    }.get(carrier, "the token as bearer")
    if request.body is not None and carrier is not Carrier.FORM and "Authorization" not in request.headers:
        where = "the assertion in the form" if b"assertion=" in request.body else "the token in the form"
    return f"{request.method} {request.url.partition('?')[0]} with {where}"
