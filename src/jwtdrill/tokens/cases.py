"""The kinds of token that a request can carry, each with exactly one defect and the verdict it should meet."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import jwt

from jwtdrill.catalog.reasons import Reason
from jwtdrill.catalog.verdicts import Expected
from jwtdrill.errors import BadInputError
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Minter

# Far beyond any leeway in use, so that a case is wrong by every verifier's clock.
_FAR = 3600


class Need(StrEnum):
    """What a case is made from."""

    GENUINE = "genuine"  # a genuine token, used or tampered with
    SIGNER = "signer"  # a signing key of the issuer


@dataclass(frozen=True, slots=True)
class Material:
    """What a case may be made from: a fresh genuine token, and a signer where the target allows one."""

    genuine: str
    signer: Minter | None = None
    now: float = 0.0

    def at(self) -> int:
        """The time that claims are set around, in whole seconds."""
        return int(self.now or time.time())


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of token. `reason`: why a correct verifier refuses it; `source`: the clause that says so."""

    id: str
    expected: Expected
    needs: Need
    source: str
    reason: Reason | None
    forge: Callable[[Material], str]


def _valid(material: Material) -> str:
    return material.genuine


def _resigned(**changes: Callable[[int], Any]) -> Callable[[Material], str]:
    def forge(material: Material) -> str:
        assert material.signer is not None
        payload = jwt.decode(material.genuine, options={"verify_signature": False})
        now = material.at()
        return material.signer.mint_payload(payload | {name: change(now) for name, change in changes.items()})

    return forge


def _bad_signature(material: Material) -> str:
    """Another signature in every reading: a bit in the middle differs, not the spare bits of the last character."""
    head, _, signature = material.genuine.rpartition(".")
    raw = bytearray(_unbase64(signature))
    raw[len(raw) // 2] ^= 0x01
    return f"{head}.{_base64(bytes(raw))}"


def _unknown_kid(material: Material) -> str:
    payload = jwt.decode(material.genuine, options={"verify_signature": False})
    return Minter(_stranger()).mint_payload(payload)


@cache
def _stranger() -> SigningKey:
    return SigningKey.generate(Algorithm.ES256)


def _alg_none(material: Material) -> str:
    payload = material.genuine.split(".")[1]
    header = _base64(json.dumps({"alg": "none", "typ": "at+jwt"}).encode())
    return f"{header}.{payload}."


CASES: Mapping[str, Case] = {
    case.id: case
    for case in (
        Case("valid", Expected.ACCEPTED, Need.GENUINE, "RFC 7519 section 7.2", None, _valid),
        Case(
            "expired",
            Expected.REJECTED,
            Need.SIGNER,
            "RFC 7519 section 4.1.4",
            Reason.EXPIRED,
            _resigned(iat=lambda now: now - 2 * _FAR, nbf=lambda now: now - 2 * _FAR, exp=lambda now: now - _FAR),
        ),
        Case(
            "not_yet_valid",
            Expected.REJECTED,
            Need.SIGNER,
            "RFC 7519 section 4.1.5",
            Reason.NOT_YET_VALID,
            _resigned(iat=lambda now: now, nbf=lambda now: now + _FAR, exp=lambda now: now + 2 * _FAR),
        ),
        Case(
            "wrong_audience",
            Expected.REJECTED,
            Need.SIGNER,
            "RFC 7519 section 4.1.3",
            Reason.WRONG_AUDIENCE,
            _resigned(aud=lambda _: "https://another.invalid"),
        ),
        Case(
            "bad_signature",
            Expected.REJECTED,
            Need.GENUINE,
            "RFC 7515 section 5.2",
            Reason.BAD_SIGNATURE,
            _bad_signature,
        ),
        Case(
            "unknown_kid",
            Expected.REJECTED,
            Need.GENUINE,
            "RFC 7515 section 4.1.4",
            Reason.UNKNOWN_KID,
            _unknown_kid,
        ),
        Case(
            "alg_none",
            Expected.REJECTED,
            Need.GENUINE,
            "RFC 8725 section 3.1",
            Reason.ALGORITHM_NOT_ALLOWED,
            _alg_none,
        ),
    )
}


def case(name: str) -> Case:
    """The case of that id. Raises BadInputError that names the ones there are."""
    found = CASES.get(name)
    if found is None:
        raise BadInputError(f"unknown case {name!r}: choose from {', '.join(CASES)}")
    return found


def parse_mix(text: str) -> dict[Case, int]:
    """`valid=9,expired=1` as cases with whole weights; a bare name weighs 1. Raises BadInputError."""
    mix: dict[Case, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, weight = part.partition("=")
        if weight and (not weight.isdecimal() or int(weight) == 0):
            raise BadInputError(f"weight of case {name!r} must be a whole number above 0, not {weight!r}")
        mix[case(name.strip())] = int(weight or 1)
    if not mix:
        raise BadInputError("no case given: write for example valid=9,expired=1")
    return mix


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
