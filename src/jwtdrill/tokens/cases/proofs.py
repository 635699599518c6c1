"""Proofs of possession (DPoP, RFC 9449) that prove nothing, and bound tokens that come without a proof."""

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    BY_SIGNER,
    FROM_GENUINE,
    Carrier,
    Case,
    Forge,
    History,
    Material,
    NotApplicableError,
    Severity,
    Subject,
)
from jwtdrill.tokens.cases.crafting import (
    DROP,
    FAR,
    claims_of,
    genuine,
    header_of,
    seal,
    signing_with,
    stranger,
    with_claims,
    with_header,
)
from jwtdrill.tokens.digests import access_token_hash
from jwtdrill.tokens.keys import Algorithm

_PROOF = frozenset({Subject.PROOF})
_CHECKS, _NONCES = "RFC 9449 section 4.3", "RFC 9449 section 8"
_LOW = Severity.LOW


def _of_token(claim: str, change: Callable[[str], object]) -> Forge:
    """For claims that a proof has only at a resource, or only where the server gives nonces."""

    def forge(material: Material) -> str:
        claims = claims_of(material)
        if claim not in claims:
            raise NotApplicableError(f"a proof has no {claim} here")
        return with_claims(**{claim: lambda *_: change(str(claims[claim]))})(material)

    return forge


def _of_another_key(material: Material) -> str:
    key = stranger(Algorithm.ES256, "prover")
    jwk = {name: value for name, value in key.public_jwk().items() if name in ("kty", "crv", "x", "y")}
    if "ath" not in claims_of(material):
        raise NotApplicableError("at a token endpoint any key is as good")
    return seal({**header_of(material), "alg": "ES256", "jwk": jwk}, claims_of(material), signing_with(key))


def _at_another_host(_: int, claims: Mapping[str, Any]) -> str:
    return urlsplit(str(claims["htu"]))._replace(netloc="another.invalid").geturl()


def _with_private_part(material: Material) -> str:
    return with_header(jwk={**header_of(material)["jwk"], "d": "A" * 43})(material)


def _proof(name: str, attacks: str, forge: Forge, source: str = _CHECKS, **more: object) -> Case:
    given: dict[str, object] = {"severity": Severity.HIGH, "needs": BY_SIGNER, "fits": _PROOF} | more
    return Case(f"proof_{name}", "proof", attacks, source, forge, Reason.PROOF_INVALID, **given)  # type: ignore[arg-type]


def _borne(name: str, attacks: str, source: str, carrier: Carrier, forge: Forge, **more: object) -> Case:
    """A proof that nothing is wrong with, borne wrongly."""
    return _proof(name, attacks, forge, source, needs=FROM_GENUINE, carrier=carrier, **more)


def _at_resource(material: Material) -> str:
    if "ath" not in claims_of(material):
        raise NotApplicableError("there is no token at the token endpoint")
    return material.genuine


CASES = (
    _proof("wrong_method", "made for another method", with_claims(htm=lambda *_: "DELETE")),
    _proof(
        "method_case",
        "the method in lower case",
        with_claims(htm=lambda _, c: str(c["htm"]).lower()),
        severity=_LOW,
    ),
    _proof("method_absent", "made for no method", with_claims(htm=lambda *_: DROP)),
    _proof("wrong_host", "made for the same path at another host", with_claims(htu=_at_another_host)),
    _proof("wrong_path", "made for another path", with_claims(htu=lambda _, c: f"{c['htu']}/other")),
    _proof("url_prefix", "made for the beginning of the URL", with_claims(htu=lambda _, c: str(c["htu"])[:-1])),
    _proof("url_absent", "made for no URL", with_claims(htu=lambda *_: DROP)),
    _proof("url_number", "a number for a URL", with_claims(htu=lambda *_: 1), severity=_LOW),
    _proof("wrong_token", "made for another token", _of_token("ath", lambda _: access_token_hash("another"))),
    _proof("token_hash_absent", "made for no token", _of_token("ath", lambda _: DROP)),
    _proof("token_hash_empty", "an empty hash of the token", _of_token("ath", lambda _: "")),
    _proof("token_itself", "the hash's beginning for the hash", _of_token("ath", lambda own: own[:10])),
    _proof(
        "another_key", "made with a key that the token is not bound to", _of_another_key, severity=Severity.CRITICAL
    ),
    _proof("future", "made an hour from now", with_claims(iat=lambda now, _: now + FAR), severity=Severity.MEDIUM),
    _proof("past", "made an hour ago", with_claims(iat=lambda now, _: now - FAR)),
    _proof(
        "time_nan",
        "made at NaN, which is neither early nor late",
        with_claims(iat=lambda *_: math.nan),
        "RFC 8259 section 6",
    ),
    _proof("time_string", "a time in quotes", with_claims(iat=lambda now, _: str(now)), severity=_LOW),
    _proof("time_absent", "made at no time", with_claims(iat=lambda *_: DROP)),
    _proof("jti_absent", "no jti, so that nobody can see that it comes again", with_claims(jti=lambda *_: DROP)),
    _proof("jti_empty", "an empty jti", with_claims(jti=lambda *_: ""), severity=_LOW),
    _proof("jti_number", "a number for a jti", with_claims(jti=lambda *_: 1), severity=_LOW),
    _proof("typ_jwt", "typ JWT", with_header(typ="JWT"), severity=Severity.MEDIUM),
    _proof("typ_absent", "no typ", with_header(typ=DROP), severity=Severity.MEDIUM),
    _proof("key_absent", "no key", with_header(jwk=DROP)),
    _proof("key_private", "a key with its private part", _with_private_part, severity=_LOW),
    _proof("key_secret", "a secret for a key", with_header(jwk={"kty": "oct", "k": "AAAA"})),
    _proof(
        "nonce_wrong",
        "a nonce that the server never gave",
        _of_token("nonce", lambda own: f"{own}x"),
        _NONCES,
    ),
    _proof("nonce_absent", "no nonce", _of_token("nonce", lambda _: DROP), _NONCES),
    _borne("absent", "a bound token without a proof", "RFC 9449 section 7.1", Carrier.NO_PROOF, _at_resource),
    _borne(
        "downgraded", "a bound token under the scheme Bearer", "RFC 9449 section 7.2", Carrier.AS_BEARER, _at_resource
    ),
    _borne("twice", "two proofs", "RFC 9449 section 4.3, point 1", Carrier.TWO_PROOFS, genuine, severity=_LOW),
    _borne(
        "replayed",
        "a proof that was used before",
        "RFC 9449 section 11.1",
        Carrier.HEADER,
        genuine,
        history=History.USED,
        room="RFC 9449 section 11.1 lets a server do without, where nonces or short times suffice",
    ),
)
