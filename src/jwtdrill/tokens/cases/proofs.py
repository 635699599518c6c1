"""Proofs of possession (DPoP, RFC 9449) that prove nothing, and bound tokens that come without a proof."""

from collections.abc import Callable

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    Carrier,
    Case,
    Forge,
    History,
    Material,
    Need,
    NotApplicableError,
    Severity,
    Subject,
)
from jwtdrill.tokens.cases.crafting import (
    DROP,
    FAR,
    Members,
    claims_of,
    compact_json,
    header_of,
    seal,
    signer_of,
    signing_with,
    stranger,
)
from jwtdrill.tokens.digests import access_token_hash
from jwtdrill.tokens.keys import Algorithm

_PROOF = frozenset({Subject.PROOF})
_SIGNED = frozenset({Need.GENUINE, Need.SIGNER})
_CHECKS, _NONCES = "RFC 9449 section 4.3", "RFC 9449 section 8"
_LOW = Severity.LOW


def _saying(**changes: Callable[[int, Members], object]) -> Forge:
    """Signed with the proof's own key, its claims changed. DROP removes."""

    def forge(material: Material) -> str:
        claims = claims_of(material)
        for name, change in changes.items():
            claims[name] = change(material.at(), claims)
        kept = {name: value for name, value in claims.items() if value is not DROP}
        return seal(header_of(material), kept, signing_with(signer_of(material).key))

    return forge


def _headed(change: Callable[[Members], Members]) -> Forge:
    def forge(material: Material) -> str:
        return seal(change(header_of(material)), claims_of(material), signing_with(signer_of(material).key))

    return forge


def _of_token(claim: str, change: Callable[[str], object]) -> Forge:
    """For claims that a proof has only at a resource, or only where the server gives nonces."""

    def forge(material: Material) -> str:
        claims = claims_of(material)
        if claim not in claims:
            raise NotApplicableError(f"a proof has no {claim} here")
        return _saying(**{claim: lambda *_: change(str(claims[claim]))})(material)

    return forge


def _of_another_key(material: Material) -> str:
    key = stranger(Algorithm.ES256, "prover")
    jwk = {name: value for name, value in key.public_jwk().items() if name in ("kty", "crv", "x", "y")}
    if "ath" not in claims_of(material):
        raise NotApplicableError("at a token endpoint any key is as good")
    return seal({**header_of(material), "alg": "ES256", "jwk": jwk}, claims_of(material), signing_with(key))


def _nan(material: Material) -> str:
    raw = compact_json(claims_of(material) | {"iat": "@"}).replace(b'"iat":"@"', b'"iat":NaN')
    return seal(header_of(material), raw, signing_with(signer_of(material).key))


def _with_private_part(header: Members) -> Members:
    return {**header, "jwk": {**header["jwk"], "d": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}


def _without(name: str) -> Callable[[Members], Members]:
    return lambda header: {member: value for member, value in header.items() if member != name}


def _proof(name: str, attacks: str, forge: Forge, source: str = _CHECKS, **more: object) -> Case:
    given: dict[str, object] = {"severity": Severity.HIGH, "needs": _SIGNED, "fits": _PROOF} | more
    return Case(f"proof_{name}", "proof", attacks, source, forge, Reason.PROOF_INVALID, **given)  # type: ignore[arg-type]


def _genuine(material: Material) -> str:
    return material.genuine


def _at_resource(material: Material) -> str:
    if "ath" not in claims_of(material):
        raise NotApplicableError("there is no token at the token endpoint")
    return material.genuine


CASES = (
    _proof("wrong_method", "made for another method", _saying(htm=lambda *_: "DELETE")),
    _proof(
        "method_case",
        "the method in lower case",
        _saying(htm=lambda _, c: str(c["htm"]).lower()),
        severity=_LOW,
    ),
    _proof("method_absent", "made for no method", _saying(htm=lambda *_: DROP)),
    _proof("wrong_host", "made for another host", _saying(htu=lambda *_: "https://another.invalid/")),
    _proof("wrong_path", "made for another path", _saying(htu=lambda _, c: f"{c['htu']}/other")),
    _proof("url_prefix", "made for the beginning of the URL", _saying(htu=lambda _, c: str(c["htu"])[:-1])),
    _proof("url_absent", "made for no URL", _saying(htu=lambda *_: DROP)),
    _proof("url_number", "a number for a URL", _saying(htu=lambda *_: 1), severity=_LOW),
    _proof("wrong_token", "made for another token", _of_token("ath", lambda _: access_token_hash("another"))),
    _proof("token_hash_absent", "made for no token", _of_token("ath", lambda _: DROP)),
    _proof("token_hash_empty", "an empty hash of the token", _of_token("ath", lambda _: "")),
    _proof("token_itself", "the hash's beginning for the hash", _of_token("ath", lambda own: own[:10])),
    _proof(
        "another_key", "made with a key that the token is not bound to", _of_another_key, severity=Severity.CRITICAL
    ),
    _proof("future", "made an hour from now", _saying(iat=lambda now, _: now + FAR), severity=Severity.MEDIUM),
    _proof("past", "made an hour ago", _saying(iat=lambda now, _: now - FAR)),
    _proof("time_nan", "made at NaN, which is neither early nor late", _nan, "RFC 8259 section 6"),
    _proof("time_string", "a time in quotes", _saying(iat=lambda now, _: str(now)), severity=_LOW),
    _proof("time_absent", "made at no time", _saying(iat=lambda *_: DROP)),
    _proof("jti_absent", "no jti, so that nobody can see that it comes again", _saying(jti=lambda *_: DROP)),
    _proof("jti_empty", "an empty jti", _saying(jti=lambda *_: ""), severity=_LOW),
    _proof("jti_number", "a number for a jti", _saying(jti=lambda *_: 1), severity=_LOW),
    _proof("typ_jwt", "typ JWT", _headed(lambda header: header | {"typ": "JWT"}), severity=Severity.MEDIUM),
    _proof("typ_absent", "no typ", _headed(_without("typ")), severity=Severity.MEDIUM),
    _proof("key_absent", "no key", _headed(_without("jwk"))),
    _proof("key_private", "a key with its private part", _headed(_with_private_part), severity=_LOW),
    _proof("key_secret", "a secret for a key", _headed(lambda h: h | {"jwk": {"kty": "oct", "k": "AAAA"}})),
    _proof(
        "nonce_wrong",
        "a nonce that the server never gave",
        _of_token("nonce", lambda own: f"{own}x"),
        "RFC 9449 section 8",
    ),
    _proof("nonce_absent", "no nonce", _of_token("nonce", lambda _: DROP), "RFC 9449 section 8"),
    _proof(
        "replayed",
        "a proof that was used before",
        _genuine,
        "RFC 9449 section 11.1",
        needs=frozenset({Need.GENUINE}),
        history=History.USED,
        room="RFC 9449 section 11.1 lets a server do without, where nonces or short times suffice",
    ),
    _proof(
        "absent",
        "a bound token without a proof",
        _at_resource,
        "RFC 9449 section 7.1",
        needs=frozenset({Need.GENUINE}),
        carrier=Carrier.NO_PROOF,
    ),
    _proof(
        "downgraded",
        "a bound token under the scheme Bearer",
        _at_resource,
        "RFC 9449 section 7.2",
        needs=frozenset({Need.GENUINE}),
        carrier=Carrier.AS_BEARER,
    ),
    _proof(
        "twice",
        "two proofs",
        _genuine,
        "RFC 9449 section 4.3, point 1",
        needs=frozenset({Need.GENUINE}),
        carrier=Carrier.TWO_PROOFS,
        severity=_LOW,
    ),
)
