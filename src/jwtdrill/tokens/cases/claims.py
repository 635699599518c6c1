"""Tokens that the issuer's own key signs and that say something wrong: of time, audience, issuer, scope, identity."""

import math
from collections.abc import Callable

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import (
    ASSERTIONS,
    BY_SIGNER,
    TOKENS,
    Case,
    Forge,
    Material,
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
    own_header,
    resealed,
    with_claims,
)

Change = Callable[[int, Members], object]
_ASSERTED = TOKENS | ASSERTIONS  # whatever has an expiry, an issuer and an audience
_NO_JSON = "RFC 8259 section 6"
_TIME = "RFC 7519 section 4.1.4 and 2, NumericDate"


def _claim(
    name: str,
    family: str,
    attacks: str,
    source: str,
    reason: Reason,
    forge: Forge,
    *,
    severity: Severity = Severity.MEDIUM,
    fits: frozenset[Subject] = _ASSERTED,
    room: str = "",
    settled_by: str = "",
) -> Case:
    return Case(
        name, family, attacks, source, forge, reason, severity, fits, BY_SIGNER, room=room, settled_by=settled_by
    )


def _time(
    name: str, attacks: str, reason: Reason, change: Change, claim: str = "exp", room: str = "", **more: object
) -> Case:
    return _claim(name, "time", attacks, _TIME, reason, with_claims(**{claim: change}), room=room, **more)  # type: ignore[arg-type]


def _overflowing(material: Material) -> str:
    """A number that no JSON writer would write, as it stands."""
    raw = compact_json(claims_of(material) | {"exp": "@"}).replace(b'"exp":"@"', b'"exp":1e999')
    return resealed(material, own_header(material), raw)


def _audience(
    name: str, attacks: str, change: Callable[[str], object], reason: Reason = Reason.WRONG_AUDIENCE, **more: object
) -> Case:
    def changed(_: int, claims: Members) -> object:
        own = claims.get("aud")
        return change(str(own[0] if isinstance(own, list) and own else own))

    return _claim(name, "audience", attacks, "RFC 7519 section 4.1.3", reason, with_claims(aud=changed), **more)  # type: ignore[arg-type]


def _issuer(
    name: str, attacks: str, change: Callable[[str], object], reason: Reason = Reason.WRONG_ISSUER, **more: object
) -> Case:
    return _claim(
        name,
        "issuer",
        attacks,
        "RFC 7519 section 4.1.1, RFC 3986 section 6.2.1",
        reason,
        with_claims(iss=lambda _, claims: change(str(claims.get("iss")))),
        **more,  # type: ignore[arg-type]
    )


def _scope(name: str, attacks: str, change: Callable[[str], object], room: str = "") -> Case:
    def forge(material: Material) -> str:
        if not material.scope:
            raise NotApplicableError("the resource declares no scope")
        wanted = material.scope
        return with_claims(scope=lambda *_: change(wanted))(material)

    return _claim(
        name, "scope", attacks, "RFC 6750 section 3.1", Reason.INSUFFICIENT_SCOPE, forge, fits=TOKENS, room=room
    )


def _long_ago(name: str) -> Change:
    return lambda now, claims: now - 2 * FAR if name in claims else DROP


def _swapped_case(text: str) -> str:
    return text.swapcase() if text.swapcase() != text else f"{text}A"


_NO_NUMBER = Reason.MALFORMED
_LARGE = "JSON sets numbers no bounds, and RFC 8259 section 6 lets a reader choose its own"
_IAT_ROOM = (
    "RFC 7519 section 4.1.6 gives iat to tell the token's age, and does not ask that one of the future be refused"
)

CASES = (
    _claim(
        "expired",
        "time",
        "a token whose time is over",
        "RFC 7519 section 4.1.4",
        Reason.EXPIRED,
        with_claims(iat=_long_ago("iat"), nbf=_long_ago("nbf"), exp=lambda now, _: now - FAR),
        severity=Severity.HIGH,
    ),
    _claim(
        "expired_a_little",
        "time",
        "a token whose time was over two minutes before what the resource forgives",
        "RFC 7519 section 4.1.4",
        Reason.EXPIRED,
        lambda material: with_claims(exp=lambda now, _: now - int(material.leeway) - 120)(material),
        fits=TOKENS,
    ),
    _time(
        "expired_long_ago",
        "a token of another decade",
        Reason.EXPIRED,
        lambda *_: 1_000_000_000,
        severity=Severity.HIGH,
    ),
    _time("exp_zero", "an expiry of zero, which is false in many languages", Reason.EXPIRED, lambda *_: 0),
    _time("exp_negative", "an expiry before 1970", Reason.EXPIRED, lambda *_: -1),
    _time("exp_as_string", "an expiry in quotes, and over", _NO_NUMBER, lambda now, _: str(now - FAR)),
    _time("exp_word", "a word for an expiry", _NO_NUMBER, lambda *_: "never"),
    _time("exp_date", "an expiry as a date, and over", _NO_NUMBER, lambda *_: "2001-09-09T01:46:40Z"),
    _time("exp_null", "null for an expiry", Reason.MISSING_CLAIM, lambda *_: None),
    _time("exp_false", "false for an expiry", _NO_NUMBER, lambda *_: False),
    _time("exp_true", "true for an expiry", _NO_NUMBER, lambda *_: True),
    _time("exp_list", "a list for an expiry", _NO_NUMBER, lambda now, _: [now + FAR]),
    _time("exp_object", "an object for an expiry", _NO_NUMBER, lambda now, _: {"$gt": now}),
    _claim(
        "exp_absent",
        "time",
        "no expiry at all",
        "RFC 9068 section 2.2, RFC 7523 section 3",
        Reason.MISSING_CLAIM,
        with_claims(exp=lambda *_: DROP),
        severity=Severity.HIGH,
        room='RFC 7519 section 4.1.4 leaves exp out at will; declare types = ["at+jwt"] where RFC 9068 holds',
        settled_by="expires",
    ),
    _claim("exp_nan", "time", "NaN for an expiry", _NO_JSON, _NO_NUMBER, with_claims(exp=lambda *_: math.nan)),
    _claim(
        "exp_infinite",
        "time",
        "Infinity for an expiry",
        _NO_JSON,
        _NO_NUMBER,
        with_claims(exp=lambda *_: math.inf),
    ),
    _claim("exp_overflow", "time", "an expiry of 1e999", "RFC 7493 section 2.2", _NO_NUMBER, _overflowing, room=_LARGE),
    _claim(
        "exp_digits",
        "time",
        "an expiry of four thousand digits",
        "RFC 7493 section 2.2",
        _NO_NUMBER,
        with_claims(exp=lambda *_: 10**4000 - 1),
        fits=TOKENS,
        room=_LARGE,
    ),
    _claim(
        "exp_far",
        "time",
        "an expiry in the year 292 billion",
        "RFC 7493 section 2.2",
        _NO_NUMBER,
        with_claims(exp=lambda *_: 2**63),
        room="the number is too large to be exact, and yet a date in the future",
    ),
    _claim(
        "not_yet_valid",
        "time",
        "a token whose time has not begun",
        "RFC 7519 section 4.1.5",
        Reason.NOT_YET_VALID,
        with_claims(nbf=lambda now, _: now + FAR, exp=lambda now, _: now + FAR + 300),
    ),
    _time("nbf_as_string", "a beginning in quotes, and not come yet", _NO_NUMBER, lambda now, _: str(now + FAR), "nbf"),
    _time("nbf_word", "a word for a beginning", _NO_NUMBER, lambda *_: "now", "nbf"),
    _claim("nbf_nan", "time", "NaN for a beginning", _NO_JSON, _NO_NUMBER, with_claims(nbf=lambda *_: math.nan)),
    _claim(
        "nbf_infinite",
        "time",
        "Infinity for a beginning",
        _NO_JSON,
        _NO_NUMBER,
        with_claims(nbf=lambda *_: math.inf),
    ),
    _claim(
        "issued_in_future",
        "time",
        "a token issued an hour from now",
        "RFC 7519 section 4.1.6",
        Reason.ISSUED_IN_FUTURE,
        with_claims(iat=lambda now, _: now + FAR, exp=lambda now, _: now + 2 * FAR, nbf=lambda *_: DROP),
        room=_IAT_ROOM,
        severity=Severity.LOW,
    ),
    _time(
        "iat_as_string",
        "a time of issue in quotes",
        _NO_NUMBER,
        lambda now, _: str(now),
        "iat",
        _IAT_ROOM,
        severity=Severity.LOW,
    ),
    _claim(
        "iat_nan",
        "time",
        "NaN for a time of issue",
        _NO_JSON,
        _NO_NUMBER,
        with_claims(iat=lambda *_: math.nan),
        room=_IAT_ROOM,
        severity=Severity.LOW,
    ),
    _audience(
        "wrong_audience", "a token for somebody else", lambda _: "https://another.invalid", severity=Severity.HIGH
    ),
    _audience(
        "aud_array_of_strangers",
        "an array of strangers",
        lambda _: ["https://another.invalid", "https://third.invalid"],
    ),
    _audience("aud_empty", "an empty audience", lambda _: ""),
    _audience("aud_empty_array", "an audience of nobody", lambda _: [], Reason.MISSING_CLAIM),
    _audience("aud_absent", "no audience", lambda _: DROP, Reason.MISSING_CLAIM),
    _audience("aud_null", "null for an audience", lambda _: None, Reason.MISSING_CLAIM),
    _audience("aud_number", "a number for an audience", lambda _: 1),
    _audience("aud_true", "true for an audience", lambda _: True),
    _audience("aud_object", "an object with the audience as its member", lambda own: {own: True}),
    _audience("aud_nested", "the audience in an array in an array", lambda own: [[own]]),
    _audience("aud_array_of_numbers", "an array of numbers", lambda _: [1, 2]),
    _audience("aud_prefix", "the beginning of the audience", lambda own: own[:-1]),
    _audience("aud_extended", "the audience and more", lambda own: f"{own}.invalid"),
    _audience("aud_extended_path", "the audience and a path", lambda own: f"{own}/other"),
    _audience("aud_within", "the audience as part of another", lambda own: f"https://x.invalid/?{own}"),
    _audience("aud_dot", "another letter for each dot", lambda own: own.replace(".", "x")),
    _audience("aud_array_alike", "an array with what only begins like it", lambda own: [f"{own}.invalid"]),
    _audience("aud_case", "the audience in another case", _swapped_case),
    _audience(
        "aud_trailing_slash",
        "the audience with a slash after it",
        lambda own: own[:-1] if own.endswith("/") else f"{own}/",
    ),
    _audience("aud_space_after", "the audience with a space after it", lambda own: f"{own} "),
    _audience(
        "aud_space_separated", "the audience in a string of several", lambda own: f"https://another.invalid {own}"
    ),
    _audience("aud_wildcard", "a star for an audience", lambda _: "*"),
    _audience("aud_with_nul", "the audience with a NUL after it", lambda own: f"{own}\0x"),
    _issuer(
        "wrong_issuer",
        "a token of another issuer under this one's key",
        lambda _: "https://another.invalid",
        severity=Severity.HIGH,
    ),
    _issuer("iss_empty", "an empty issuer", lambda _: ""),
    _issuer("iss_absent", "no issuer", lambda _: DROP, Reason.MISSING_CLAIM),
    _issuer("iss_null", "null for an issuer", lambda _: None, Reason.MISSING_CLAIM),
    _issuer("iss_number", "a number for an issuer", lambda _: 1),
    _issuer("iss_array", "the issuer in an array", lambda own: [own]),
    _issuer("iss_prefix", "the beginning of the issuer", lambda own: own[:-1]),
    _issuer("iss_extended", "the issuer and more", lambda own: f"{own}.invalid"),
    _issuer("iss_extended_path", "the issuer and a path, as another tenant has", lambda own: f"{own}/tenant"),
    _issuer("iss_within", "the issuer as part of another", lambda own: f"https://x.invalid/?{own}"),
    _issuer("iss_case", "the issuer in another case", _swapped_case),
    _issuer(
        "iss_trailing_slash",
        "the issuer with a slash after it",
        lambda own: own[:-1] if own.endswith("/") else f"{own}/",
    ),
    _issuer("iss_user_part", "the issuer as the user part of another", lambda own: f"{own}@x.invalid"),
    _scope("insufficient_scope", "a scope for something else", lambda _: "jwtdrill:other"),
    _scope("scope_absent", "no scope", lambda _: DROP),
    _scope("scope_empty", "an empty scope", lambda _: ""),
    _scope("scope_prefix", "the beginning of the scope", lambda own: own[:-1]),
    _scope("scope_extended", "the scope and more letters", lambda own: f"{own}x"),
    _scope("scope_case", "the scope in another case", _swapped_case),
    _scope("scope_within", "the scope inside another word", lambda own: f"x{own}x"),
    _scope("scope_wildcard", "a star for a scope", lambda _: "*"),
    _scope("scope_comma_separated", "the scope between commas", lambda own: f"a,{own},b"),
    _scope(
        "scope_array",
        "the scope in an array",
        lambda own: [own],
        "RFC 8693 wants a string, and issuers are about that send arrays",
    ),
    _claim(
        "sub_absent",
        "identity",
        "no subject",
        "RFC 9068 section 2.2, RFC 7523 section 3",
        Reason.MISSING_CLAIM,
        with_claims(sub=lambda *_: DROP),
        fits=TOKENS,
        room="RFC 9068 wants one, RFC 7519 does not",
        severity=Severity.LOW,
    ),
    _claim(
        "sub_number",
        "identity",
        "a number for a subject",
        "RFC 7519 section 4.1.2",
        Reason.MALFORMED,
        with_claims(sub=lambda *_: 0),
        room="who does not use sub does not see it",
        settled_by="asserted",
    ),
    _claim(
        "jti_number",
        "identity",
        "a number for a jti",
        "RFC 7519 section 4.1.7",
        Reason.MALFORMED,
        with_claims(jti=lambda *_: 0),
        severity=Severity.LOW,
        room="who does not use jti does not see it",
        fits=TOKENS,
    ),
    _claim(
        "bound_token_without_proof",
        "proof_of_possession",
        "a token bound to a key, borne as if it were not",
        "RFC 9449 section 7.1, RFC 7800 section 3",
        Reason.PROOF_INVALID,
        with_claims(cnf=lambda *_: {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        severity=Severity.HIGH,
        fits=TOKENS,
        room="a resource that knows no DPoP does not look at cnf",
    ),
)
