"""Makes the requests of each kind of bad traffic, and knows of each what it should meet with.

A source gives one shot at a time and never waits: where a shot depends on the answer to another that is under way, or
on a good token that cannot be had, there is none to give, rather than one whose verdict nobody knows.
"""

import itertools
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.errors import BadInputError
from jwtdrill.flows import misuse
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement, Request, Response
from jwtdrill.flows.misuse import LIFETIME
from jwtdrill.flows.refresh import Refresh
from jwtdrill.flows.token import JWT_BEARER, ClientIdentity, JwtBearer, TokenFlow
from jwtdrill.probe.supply import AGAIN, Supply, Workshop
from jwtdrill.target.model import Client, Resource
from jwtdrill.tokens.cases import Carrier, Case, Material, Need, NotApplicableError
from jwtdrill.tokens.cases.crafting import claims_of, header_of, seal, signature_of, with_claims
from jwtdrill.tokens.reading import claims_of as claims_in
from jwtdrill.tokens.reading import numeric_date

TOKEN_ENDPOINT = "token endpoint"  # noqa: S105 - a name
VALID, STOLEN_KEY, OVER_SCOPED, REPLAYED = "valid", "stolen_key", "over_scoped", "replayed"
SPRAYED, SKEWED, REUSED = "sprayed", "skewed_claims", "refresh_reused"
_OFFLINE = "offline_access"
_REUSES = 20  # of one refresh token before the next is got
_LONGEST_WAIT = 600.0  # seconds that genuine tokens are waited out
_NEVER = float("inf")
_NETWORKS = ("198.51.100", "203.0.113")  # for documentation: nobody's (RFC 5737)


@dataclass(frozen=True, slots=True)
class Shot:
    """One request. sender: the address to send from, the system's choice by default. done: is told what came of it."""

    flow: str
    case: str
    resource: str
    expected: Expected
    request: Request
    judge: Callable[[Response], Judgement]
    sender: str = ""
    done: Callable[[Response, Verdict], None] | None = field(default=None, repr=False)


class Source(Protocol):
    """What one kind of traffic consists of. silence: seconds before the first shot."""

    silence: float

    def shot(self, elapsed: float) -> Shot | None:
        """The next one, `elapsed` seconds after the traffic began; None where there is none now."""


async def source_of(traffic: misuse.Traffic, workshop: Workshop) -> Source:
    """What makes that traffic. Raises BadInputError, MissingPartError when its first token cannot be had."""
    places = traffic.places(workshop.target)
    match traffic:
        case misuse.RefreshReuse():
            return _RefreshReuse(workshop, misuse.refresh_client(workshop.target))
        case misuse.Replay():
            return _Rounds([_Replay(place, await workshop.supply(place, own=True)) for place in places])
    stands = [_Stand(place, await workshop.supply(place), workshop) for place in places]
    silence = traffic.after if isinstance(traffic, misuse.Expired) else 0.0
    if isinstance(traffic, misuse.Expired) and workshop.signer is None:
        return _WaitedOut(stands, silence)
    if isinstance(traffic, misuse.Mixed) and any(Need.JWKS in case.needs for case in traffic.mix()):
        await workshop.read_keys()
    makers = [_maker(traffic, stand) for stand in stands]
    try:
        for maker in makers:  # what cannot be made is said before anything is sent
            maker.shot(0.0)
    except NotApplicableError as why:
        raise BadInputError(f"{workshop.target.path}: {traffic.kind}: {why}") from None
    return _Rounds(makers, silence)


def _maker(traffic: misuse.Traffic, stand: "_Stand") -> "_Maker":
    match traffic:
        case misuse.Spray():
            return _Spray(stand, traffic.addresses)
        case misuse.UnknownKid():
            return _UnknownKid(stand, traffic.kids)
        case misuse.OverScoped():
            return _Signed(stand, OVER_SCOPED, scope=traffic.scope)
        case misuse.SkewedClaims():
            since = 0.0 if traffic.refused_by(stand.place) else _NEVER
            return _Signed(stand, SKEWED, shift=round(traffic.seconds), rejected_after=since)
        case misuse.Forged(stolen_key=True):
            return _Signed(stand, STOLEN_KEY, rejected_after=traffic.rejected_after)
        case misuse.Mixed():
            return _Forger(stand, traffic.mix())
    raise BadInputError(f"nothing makes {traffic.kind} traffic")


@dataclass(frozen=True, slots=True)
class _Stand:
    """A resource with good tokens for it."""

    place: Resource
    supply: Supply
    workshop: Workshop

    @property
    def call(self) -> Call:
        """How it is called."""
        return Call(self.place)

    def material(self) -> Material:
        """What tokens for it are made from."""
        return self.call.material(self.supply.token, self.workshop.signer, self.workshop.jwks)

    def shot(self, case: str, expected: Expected, token: str, carrier: Carrier = Carrier.HEADER) -> Shot:
        """A call with that token."""
        call = self.call
        return Shot(call.name, case, self.place.label, expected, call.request(token, carrier), call.judge)


class _Maker(Protocol):
    def shot(self, elapsed: float) -> Shot | None: ...


class _Rounds:
    """One place after the other."""

    def __init__(self, makers: Sequence[_Maker], silence: float = 0.0) -> None:
        self.silence = silence
        self._makers = itertools.cycle(makers)
        self._count = len(makers)

    def shot(self, elapsed: float) -> Shot | None:
        """Of the next place that has one."""
        shots = (next(self._makers).shot(elapsed) for _ in range(self._count))
        return next(filter(None, shots), None)


class _Forger:
    """Tokens of the corpus. Raises NotApplicableError where none of its cases can be made."""

    def __init__(self, stand: _Stand, mix: Mapping[Case, int]) -> None:
        self._stand = stand
        self._mix = dict(mix)

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        while True:
            [case] = random.choices(list(self._mix), list(self._mix.values()))  # noqa: S311 - not a secret
            try:
                token = case.forge(self._stand.material())
            except NotApplicableError:
                del self._mix[case]  # the target's tokens are not of that kind
                if not self._mix:
                    raise
            else:
                return self._stand.shot(case.id, case.expected, token, case.carrier)


class _UnknownKid:
    def __init__(self, stand: _Stand, kids: int | None) -> None:
        self._stand = stand
        self._kids = kids

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        """The signature is of no key: nobody can tell, for want of the key."""
        material = self._stand.material()
        number = secrets.randbelow(self._kids) if self._kids is not None else secrets.token_hex(8)
        noise = secrets.token_bytes(len(signature_of(material)))
        token = seal(header_of(material) | {"kid": f"drill-{number}"}, claims_of(material), lambda _: noise)
        return self._stand.shot("unknown_kid", Expected.REJECTED, token)


class _Signed:
    """Tokens that the issuer's key signed, each with a jti of its own."""

    def __init__(
        self, stand: _Stand, case: str, *, shift: int = 0, scope: str = "", rejected_after: float = _NEVER
    ) -> None:
        self._stand = stand
        self._case = case
        self._rejected_after = rejected_after
        wanted = stand.place.scope or ""
        self._forge = with_claims(
            aud=lambda *_: stand.place.audience,
            iat=lambda now, _: now + shift,
            nbf=lambda now, _: now + shift,
            exp=lambda now, _: now + shift + LIFETIME,
            jti=lambda *_: secrets.token_urlsafe(12),
            scope=lambda _, claims: f"{wanted or claims.get('scope', '')} {scope}".strip(),
        )

    def shot(self, elapsed: float) -> Shot | None:
        expected = Expected.REJECTED if elapsed >= self._rejected_after else Expected.ACCEPTED
        return self._stand.shot(self._case, expected, self._forge(self._stand.material()))


class _Spray:
    def __init__(self, stand: _Stand, addresses: int) -> None:
        self._stand = stand
        told = random.sample([f"{n}.{host}" for n in _NETWORKS for host in range(1, 255)], addresses)
        host = urlsplit(stand.place.url).hostname or ""
        local = host.startswith("127.")
        senders = [f"127.0.0.{2 + number}" if local else "" for number in range(addresses)]
        self._addresses: Iterator[tuple[str, str]] = itertools.cycle(zip(told, senders, strict=True))

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        stand = self._stand
        if not stand.supply.good:
            return None
        told, sender = next(self._addresses)
        call = stand.call
        request = call.request(stand.supply.token)
        request = Request(
            request.method, request.url, {**request.headers, "X-Forwarded-For": told}, request.body, request.tls
        )
        return Shot(call.name, SPRAYED, stand.place.label, Expected.ACCEPTED, request, call.judge, sender)


class _WaitedOut:
    """Genuine tokens whose time is over."""

    def __init__(self, stands: Sequence[_Stand], after: float) -> None:
        """Raises BadInputError for tokens that last too long."""
        self._old = [(stand, stand.supply.token) for stand in stands]
        self._turns = itertools.cycle(self._old)
        ends = [numeric_date((claims_in(token) or {}).get("exp")) for _, token in self._old]
        until = max(
            (end + stand.place.leeway for (stand, _), end in zip(self._old, ends, strict=True) if end), default=0
        )
        left = until + 2 - time.time()
        if None in ends or left > _LONGEST_WAIT:
            raise BadInputError(
                f"expired: tokens that say when they end, and soon, can be waited out, but not these ({left:.0f} s): "
                "add [[signer]]"
            )
        self.silence = max(after, left)

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        stand, token = next(self._turns)
        return stand.shot("expired", Expected.REJECTED, token)


class _Replay:
    """A token of its own, used once and then again; only what was surely accepted counts as used."""

    def __init__(self, place: Resource, supply: Supply) -> None:
        self._call = Call(place)
        self._supply = supply
        self._fresh = ""  # whose first use is under way
        self._used = ""

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        token = self._supply.token
        if token == self._used:
            return self._shot(REPLAYED, Expected.REJECTED, token)
        if token != self._fresh and self._supply.good:
            self._fresh = token
            return self._shot(VALID, Expected.ACCEPTED, token, self._first)
        return self._shot(REPLAYED, Expected.REJECTED, self._used) if self._used else None

    def _first(self, response: Response, verdict: Verdict) -> None:  # noqa: ARG002
        if verdict is Verdict.ACCEPTED:
            self._used = self._fresh
        else:
            self._supply.want_another()

    def _shot(
        self, case: str, expected: Expected, token: str, done: Callable[[Response, Verdict], None] | None = None
    ) -> Shot:
        call = self._call
        return Shot(call.name, case, call.resource.label, expected, call.request(token), call.judge, done=done)


class _RefreshReuse:
    """Gets a refresh token, uses it, and then uses it again and again."""

    silence = 0.0

    def __init__(self, workshop: Workshop, described: Client) -> None:
        """Raises BadInputError where the issuer gives no refresh tokens."""
        self._workshop = workshop
        self._identity = ClientIdentity(described, workshop.target, workshop.endpoints)
        given = described.refresh_token
        if given is None and not workshop.endpoints.offers(JWT_BEARER):
            raise BadInputError(
                f"{workshop.target.path}: the issuer does not offer the grant {JWT_BEARER}, "
                "by which refresh tokens are got: add refresh_token to a [[client]]"
            )
        self._unused = workshop.target.read_token(given) if given is not None else ""
        self._once = given is not None
        self._used = ""
        self._left = 0
        self._not_before = 0.0  # monotonic seconds; none while an answer is awaited

    def shot(self, elapsed: float) -> Shot | None:  # noqa: ARG002
        """A first use waits for what it begins with; second uses wait for nothing."""
        if self._may_begin() and self._workshop.allowance.take():
            self._not_before = _NEVER
            if self._unused:
                flow = Refresh(self._identity)
                return self._shot(flow, VALID, Expected.ACCEPTED, flow.request(self._unused), self._refreshed)
            asking = JwtBearer(self._identity)
            scope = f"{self._identity.client.scope or ''} {_OFFLINE}".strip()
            return self._shot(asking, VALID, Expected.ACCEPTED, asking.request(scope=scope), self._granted)
        if not self._used:
            return None
        self._left -= 1
        flow = Refresh(self._identity)
        return self._shot(flow, REUSED, Expected.REJECTED, flow.request(self._used), None)

    def _may_begin(self) -> bool:
        there_is_one = bool(self._unused) or not self._once
        return self._left <= 0 and there_is_one and time.monotonic() >= self._not_before

    def _granted(self, response: Response, verdict: Verdict) -> None:  # noqa: ARG002
        granted = JwtBearer(self._identity).grant(response)
        self._unused = (granted.refresh or "") if granted is not None else ""
        self._not_before = 0.0 if self._unused else time.monotonic() + AGAIN

    def _refreshed(self, response: Response, verdict: Verdict) -> None:  # noqa: ARG002
        if verdict is Verdict.ACCEPTED:
            self._used, self._left = self._unused, _REUSES
        self._unused = ""
        self._not_before = time.monotonic() + AGAIN

    def _shot(
        self,
        flow: TokenFlow,
        case: str,
        expected: Expected,
        request: Request,
        done: Callable[[Response, Verdict], None] | None,
    ) -> Shot:
        return Shot(flow.name, case, TOKEN_ENDPOINT, expected, request, flow.judge, done=done)
