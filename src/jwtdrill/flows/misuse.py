"""Kinds of bad traffic: what each is told, and what of a target it needs. `probe/traffic` sends it.

Each has a ground truth: what every single request should meet with.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.target.model import Client, Resource, Target
from jwtdrill.tokens.cases import Case, History, Need, Subject, parse_mix

LIFETIME = 60  # seconds that tokens last which the issuer's key signs for such traffic
_UNSURE = 2.0  # seconds around a bound in which clocks and network decide what a token meets with
_FORGERIES = "bad_signature=3,alg_none=2,hs256_pem=2,stranger_rs256=1,stranger_es256=1,altered_sub=1"
_BROAD = "admin users:read users:write billing:write keys:write"
Seconds = Annotated[float, Field(ge=0, le=3600)]


@dataclass(kw_only=True)
class Traffic:
    """Bad traffic of one kind. rate: requests/s; resources: labels of those it is sent to, by default all that fit."""

    rate: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    resources: tuple[str, ...] = ()

    kind: ClassVar[str]
    signed: ClassVar[bool] = False  # whether it takes the issuer's own key
    lacking: ClassVar[str] = "every [[resource]] asks for a client's certificate: add one without mtls"

    def places(self, target: Target) -> tuple[Resource, ...]:
        """Where it is sent. Raises BadInputError that says what the target lacks for it."""
        self.require_leave(target)
        if self.signed:
            self.require_signer(target)
        labels = [place.label for place in target.places]
        strange = [label for label in self.resources if label not in labels]
        if strange:
            raise BadInputError(f"{target.path}: no [[resource]] is called {strange[0]!r}: {', '.join(labels)}")
        target.require_resources()
        found = [place for place in target.places if place.label in (self.resources or labels)]
        fitting = tuple(place for place in found if not place.mtls and self.fits(place))
        if not fitting:
            raise BadInputError(f"{target.path}: {self.kind}: {self.lacking}")
        for place in fitting:
            token_client(target, place)
        return fitting

    def fits(self, place: Resource) -> bool:  # noqa: ARG002 - for those who override it
        """Whether such traffic means anything there."""
        return True

    def require_leave(self, target: Target) -> None:
        """Raises BadInputError in production, and for more than the target's limit."""
        target.refuse_production(f"{self.kind} traffic")
        if self.rate > target.limits.rate:
            raise BadInputError(
                f"{target.path}: limits.rate is {target.limits.rate:g}, and {self.rate:g} requests/s are more: "
                "ask for fewer, or raise it"
            )

    def require_signer(self, target: Target) -> None:
        """Raises BadInputError without a signing key of the issuer."""
        if not target.signer:
            raise BadInputError(
                f"{target.path}: {self.kind} takes a signing key of the issuer: add [[signer]] with key, kid and alg"
            )


@dataclass(kw_only=True)
class Mixed(Traffic):
    """Tokens of cases of the corpus, all of which are to be refused."""

    def mix(self) -> Mapping[Case, int]:
        """Cases with weights. Raises BadInputError."""
        raise NotImplementedError

    def places(self, target: Target) -> tuple[Resource, ...]:
        """As for all; each case must mean the same everywhere."""
        found = super().places(target)
        for case in self.mix():
            if Subject.ACCESS_TOKEN not in case.fits or case.history is not History.NONE or case.reason is None:
                raise BadInputError(f"{self.kind}: case {case.id} is no token that is refused at first sight")
            if Need.SIGNER in case.needs:
                self.require_signer(target)
            room = next(filter(None, (case.debatable(Call(place).material("")) for place in found)), "")
            if room:
                raise BadInputError(f"{self.kind}: case {case.id}: nobody knows what it should meet with: {room}")
        return found


@dataclass(kw_only=True)
class Forged(Mixed):
    """Forged tokens. cases: with weights, as in `bad_signature=3,alg_none=1`.

    stolen_key: instead, tokens that the issuer's own key signed, as for a thief, and that are right until the key is
    revoked: `rejected_after` so many seconds they are to be refused.
    """

    cases: str = _FORGERIES
    stolen_key: bool = False
    rejected_after: Seconds = 0.0

    kind: ClassVar[str] = "forged"

    def mix(self) -> Mapping[Case, int]:
        """Those given."""
        return parse_mix(self.cases)

    def places(self, target: Target) -> tuple[Resource, ...]:
        """With a stolen key the cases do not count."""
        if not self.stolen_key:
            return super().places(target)
        self.require_signer(target)
        return Traffic.places(self, target)


@dataclass(kw_only=True)
class UnknownKid(Traffic):
    """Tokens under key ids that nobody published: `kids` different ones, or without it a new one each time."""

    kids: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    kind: ClassVar[str] = "unknown_kid"


@dataclass(kw_only=True)
class Expired(Mixed):
    """After a silence of `after` seconds everybody comes back with old tokens.

    Without a signing key they are genuine ones, and the silence lasts until their time is over.
    """

    after: Seconds = 0.0

    kind: ClassVar[str] = "expired"

    def mix(self) -> Mapping[Case, int]:
        """One case; without a signer it is not needed."""
        return parse_mix("expired")

    def places(self, target: Target) -> tuple[Resource, ...]:
        """Tokens that expired can be had without a signer too."""
        return super().places(target) if target.signer else Traffic.places(self, target)


@dataclass(kw_only=True)
class WrongAudience(Mixed):
    """Tokens for somebody else."""

    kind: ClassVar[str] = "wrong_audience"
    signed: ClassVar[bool] = True

    def mix(self) -> Mapping[Case, int]:
        """One case."""
        return parse_mix("wrong_audience")


@dataclass(kw_only=True)
class OverScoped(Traffic):
    """Good tokens with far more `scope` than the resource asks for."""

    scope: Annotated[str, Field(min_length=1, max_length=2000)] = _BROAD

    kind: ClassVar[str] = "over_scoped"
    signed: ClassVar[bool] = True


@dataclass(kw_only=True)
class Replay(Traffic):
    """A token that is good once, used again and again."""

    kind: ClassVar[str] = "replay"
    lacking: ClassVar[str] = (
        "no [[resource]] says that a token is good once only: add one_time = true to those that refuse a second use"
    )

    def fits(self, place: Resource) -> bool:
        """Where a token is good once."""
        return place.one_time


@dataclass(kw_only=True)
class Spray(Traffic):
    """One good token from so many `addresses`, as X-Forwarded-For says; on loopback also as senders."""

    addresses: Annotated[int, Field(ge=2, le=250)] = 24

    kind: ClassVar[str] = "spray"
    lacking: ClassVar[str] = "every [[resource]] takes a token once only: add one without one_time"

    def fits(self, place: Resource) -> bool:
        """Where a token may come again."""
        return not place.one_time


@dataclass(kw_only=True)
class RefreshReuse(Traffic):
    """A refresh token that was used is presented again (RFC 9700 section 4.14)."""

    kind: ClassVar[str] = "refresh_reuse"

    def places(self, target: Target) -> tuple[Resource, ...]:
        """No resource: it goes to the token endpoint."""
        self.require_leave(target)
        if self.resources:
            raise BadInputError(f"{self.kind} goes to the token endpoint: leave resources out")
        refresh_client(target)
        return ()


@dataclass(kw_only=True)
class SkewedClaims(Traffic):
    """Tokens whose iat, nbf and exp are wrong by so many `seconds`, below zero for a clock that is behind."""

    seconds: Annotated[float, Field(ge=-86400, le=86400)]

    kind: ClassVar[str] = "skewed_claims"
    signed: ClassVar[bool] = True

    def places(self, target: Target) -> tuple[Resource, ...]:
        """Raises BadInputError too for a shift so near to what is forgiven that either verdict is right."""
        found = super().places(target)
        for place in found:
            self.refused_by(place)
        return found

    def refused_by(self, place: Resource) -> bool:
        """Whether that resource is to refuse them (RFC 7519 sections 4.1.4 and 4.1.5). Raises BadInputError."""
        ahead, behind = self.seconds, -self.seconds - LIFETIME
        if max(ahead, behind) > place.leeway + _UNSURE:
            return True
        if ahead <= 0 and behind < -_UNSURE:
            return False
        raise BadInputError(
            f"{self.kind}: nobody knows what a shift of {self.seconds:g} s should meet with at {place.label}, which "
            f"forgives {place.leeway:g} s at most, for these tokens last {LIFETIME} s: choose a clearer one"
        )


KINDS: Mapping[str, type[Traffic]] = {
    kind.kind: kind
    for kind in (Forged, UnknownKid, Expired, WrongAudience, OverScoped, Replay, Spray, RefreshReuse, SkewedClaims)
}


def token_client(target: Target, place: Resource) -> Client | None:
    """Whose tokens are good there: the first client whose scope suffices; None where a ready token is used.

    Raises BadInputError when all tokens that can be had are bound to a key or certificate, or there are none.
    """
    plain = [c for c in target.first_clients if c.issuer is None and not c.dpop and c.certificate is None]
    if plain:
        return next((client for client in plain if _covers(client, place)), plain[0])
    if not target.token:
        raise BadInputError(
            f"{target.path}: no [[client]] of [issuer]'s whose tokens are bound to nothing, and no [[token]]: "
            "such traffic is made from good tokens"
        )
    return None


def refresh_client(target: Target) -> Client:
    """The first client that gets refresh tokens. Raises BadInputError without one."""
    fitting = (c for c in target.first_clients if c.issuer is None and not c.dpop and c.certificate is None)
    found = next((client for client in fitting if client.signs or client.refresh_token is not None), None)
    if found is None:
        raise BadInputError(
            f"{target.path}: no [[client]] gets refresh tokens: add refresh_token to one, or a key to sign with"
        )
    return found


def _covers(client: Client, place: Resource) -> bool:
    wanted: Sequence[str] = (place.scope or "").split()
    return client.scope is None or set(wanted) <= set(client.scope.split())
