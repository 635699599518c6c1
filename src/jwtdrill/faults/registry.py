"""The faults that there are, by name. To add one: a file with its class, and a line here.

Those of the proxy can be put on every route: `status` is `jwks.status` on the route jwks, `token.status` on token.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from jwtdrill.errors import BadInputError
from jwtdrill.faults.claim import CLAIM, Claim
from jwtdrill.faults.clock.back_step import BackStep
from jwtdrill.faults.clock.drift import Drift
from jwtdrill.faults.clock.skew import Skew
from jwtdrill.faults.clock.skewed_claims import SkewedClaims
from jwtdrill.faults.clock.step import Step
from jwtdrill.faults.cpu.starved import Starved
from jwtdrill.faults.fault import Fault
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.http.cache_headers import CacheHeaders
from jwtdrill.faults.http.certificate import Certificate
from jwtdrill.faults.http.content_type import ContentType
from jwtdrill.faults.http.empty_set import EmptySet
from jwtdrill.faults.http.extra_keys import ExtraKeys
from jwtdrill.faults.http.garbage import Garbage
from jwtdrill.faults.http.hang import Hang
from jwtdrill.faults.http.hang_after_headers import HangAfterHeaders
from jwtdrill.faults.http.html import Html
from jwtdrill.faults.http.huge_body import HugeBody
from jwtdrill.faults.http.latency import Latency
from jwtdrill.faults.http.malformed_keys import MalformedKeys
from jwtdrill.faults.http.missing_newest_key import MissingNewestKey
from jwtdrill.faults.http.missing_oldest_key import MissingOldestKey
from jwtdrill.faults.http.not_modified import NotModified
from jwtdrill.faults.http.redirect import Redirect
from jwtdrill.faults.http.refused import Refused
from jwtdrill.faults.http.reset import Reset
from jwtdrill.faults.http.stale import Stale
from jwtdrill.faults.http.status import Status
from jwtdrill.faults.http.truncated import Truncated
from jwtdrill.faults.http.wrong_key import WrongKey
from jwtdrill.faults.issuer.overloaded import Overloaded
from jwtdrill.faults.keys.algorithm_change import AlgorithmChange
from jwtdrill.faults.keys.compromise import Compromise
from jwtdrill.faults.keys.remove_live_key import RemoveLiveKey
from jwtdrill.faults.keys.reuse_kid import ReuseKid
from jwtdrill.faults.keys.rollback_disables_live_key import RollbackDisablesLiveKey
from jwtdrill.faults.keys.rotate import Rotate
from jwtdrill.faults.keys.rotate_without_overlap import RotateWithoutOverlap
from jwtdrill.faults.keys.stuck_half_way import StuckHalfWay
from jwtdrill.faults.keys.two_signers import TwoSigners
from jwtdrill.faults.keys.use_before_published import UseBeforePublished
from jwtdrill.faults.load.thundering_herd import ThunderingHerd
from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.faults.misuse.expired import Expired
from jwtdrill.faults.misuse.forged import Forged
from jwtdrill.faults.misuse.over_scoped import OverScoped
from jwtdrill.faults.misuse.refresh_reuse import RefreshReuse
from jwtdrill.faults.misuse.replay import Replay
from jwtdrill.faults.misuse.spray import Spray
from jwtdrill.faults.misuse.unknown_kid import UnknownKid
from jwtdrill.faults.misuse.wrong_audience import WrongAudience

HTTP_FAULTS: Mapping[str, type[HttpFault]] = {
    "cache_headers": CacheHeaders,
    "certificate": Certificate,
    "content_type": ContentType,
    "empty_set": EmptySet,
    "extra_keys": ExtraKeys,
    "garbage": Garbage,
    "hang": Hang,
    "hang_after_headers": HangAfterHeaders,
    "html": Html,
    "huge_body": HugeBody,
    "latency": Latency,
    "malformed_keys": MalformedKeys,
    "missing_newest_key": MissingNewestKey,
    "missing_oldest_key": MissingOldestKey,
    "not_modified": NotModified,
    "redirect": Redirect,
    "refused": Refused,
    "reset": Reset,
    "stale": Stale,
    "status": Status,
    "truncated": Truncated,
    "wrong_key": WrongKey,
}
FAULTS: Mapping[str, type[Fault]] = {
    "clock.back_step": BackStep,
    "clock.drift": Drift,
    "clock.skew": Skew,
    "clock.skewed_claims": SkewedClaims,
    "clock.step": Step,
    "cpu.starved": Starved,
    "issuer.overloaded": Overloaded,
    "keys.algorithm_change": AlgorithmChange,
    "keys.compromise": Compromise,
    "keys.remove_live_key": RemoveLiveKey,
    "keys.reuse_kid": ReuseKid,
    "keys.rollback_disables_live_key": RollbackDisablesLiveKey,
    "keys.rotate": Rotate,
    "keys.rotate_without_overlap": RotateWithoutOverlap,
    "keys.stuck_half_way": StuckHalfWay,
    "keys.two_signers": TwoSigners,
    "keys.use_before_published": UseBeforePublished,
    "load.thundering_herd": ThunderingHerd,
    "misuse.expired": Expired,
    "misuse.forged": Forged,
    "misuse.over_scoped": OverScoped,
    "misuse.refresh_reuse": RefreshReuse,
    "misuse.replay": Replay,
    "misuse.spray": Spray,
    "misuse.unknown_kid": UnknownKid,
    "misuse.wrong_audience": WrongAudience,
}
TRAFFIC = frozenset(name for name, kind in FAULTS.items() if issubclass(kind, MisuseFault))  # that send requests
_PLACES = frozenset(name.partition(".")[0] for name in FAULTS)


def find_fault(name: str) -> type[Fault]:
    """The kind of fault of that name. Raises BadInputError that names those that there are."""
    place, _, kind = name.partition(".")
    if name == CLAIM:
        return Claim
    if name in FAULTS:
        return FAULTS[name]
    if place and place not in _PLACES and kind in HTTP_FAULTS:
        return HTTP_FAULTS[kind]
    raise BadInputError(
        f"unknown fault {name!r}: choose from {', '.join(FAULTS)}; or, on a proxied route such as jwks: "
        f"{', '.join(f'jwks.{kind}' for kind in HTTP_FAULTS)}"
    )


def make_fault(name: str, params: Mapping[str, Any]) -> Fault:
    """The fault of that name with those parameters. Raises BadInputError that says what is wrong with which."""
    kind = find_fault(name)
    known = {field.name for field in fields(kind) if field.init} - {"route"}  # type: ignore[arg-type]
    strange = sorted(set(params) - known)
    if strange:
        raise BadInputError(
            f"fault {name} has no parameter {strange[0]!r}: it has {', '.join(sorted(known)) or 'none'}"
        )
    place = {"route": name.partition(".")[0]} if issubclass(kind, HttpFault) else {}
    try:
        return TypeAdapter(kind).validate_python({**params, **place})
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in mistake["loc"])
        raise BadInputError(f"fault {name}: parameter {where}: {mistake['msg']}") from None
