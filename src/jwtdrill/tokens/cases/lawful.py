"""Good tokens in their lawful varieties: a verifier that refuses one of these refuses a user."""

import json

from jwtdrill.tokens.cases.case import (
    ANY,
    BY_SIGNER,
    FROM_GENUINE,
    TOKENS,
    TYPES_UNDECLARED,
    Carrier,
    Case,
    Forge,
    Material,
    Need,
    NotApplicableError,
    Subject,
)
from jwtdrill.tokens.cases.crafting import (
    DROP,
    Members,
    claims_of,
    genuine,
    own_header,
    resealed,
    with_claims,
    with_header,
)
from jwtdrill.tokens.reading import media_type


def _without_kid(material: Material) -> str:
    if len(material.jwks) > 1:
        raise NotApplicableError("more than one key is published, so a token must name its own")
    return with_header(kid=DROP)(material)


def _of_type(typ: str) -> Forge:
    def forge(material: Material) -> str:
        if material.types and media_type(typ) not in {media_type(own) for own in material.types}:
            raise NotApplicableError(f"the resource declares other types than {typ}")
        return with_header(typ=typ)(material)

    return forge


def _untyped(material: Material) -> str:
    if material.strict_types:
        raise NotApplicableError("the resource declares types, and none is none of them")
    return with_header(typ=DROP)(material)


def _now(now: int, _: Members) -> int:
    return now


def _reordered(material: Material) -> str:
    claims = claims_of(material)
    return resealed(material, own_header(material), {name: claims[name] for name in reversed(claims)})


def _spaced(material: Material) -> str:
    return resealed(material, own_header(material), json.dumps(claims_of(material), indent=2).encode())


def _lawful(
    name: str,
    attacks: str,
    source: str,
    forge: Forge,
    *,
    fits: frozenset[Subject] = ANY,
    room: str = "",
    settled_by: str = "",
    carrier: Carrier = Carrier.HEADER,
    needs: frozenset[Need] = BY_SIGNER,
) -> Case:
    return Case(
        name,
        "lawful",
        attacks,
        source,
        forge,
        fits=fits,
        needs=needs,
        room=room,
        settled_by=settled_by,
        carrier=carrier,
    )


def _typed(name: str, typ: str, source: str, what: str = "") -> Case:
    return _lawful(
        f"good_typ_{name}",
        f"nothing: {what or f'typ {typ}'}",
        source,
        _of_type(typ),
        fits=TOKENS,
        room=TYPES_UNDECLARED,
        settled_by="types",
    )


CASES = (
    _lawful(
        "valid",
        "nothing: as the issuer gave it",
        "RFC 7519 section 7.2",
        genuine,
        fits=frozenset(Subject),
        needs=FROM_GENUINE,
    ),
    _lawful(
        "good_scheme_lower_case",
        "nothing: the scheme's name in lower case",
        "RFC 9110 section 11.1",
        genuine,
        fits=TOKENS,
        carrier=Carrier.LOWER_CASE_SCHEME,
        needs=FROM_GENUINE,
    ),
    _lawful(
        "good_aud_array",
        "nothing: the audience as an array of one",
        "RFC 7519 section 4.1.3",
        with_claims(aud=lambda _, claims: [_audience(claims)]),
        fits=TOKENS | {Subject.ASSERTION},
    ),
    _lawful(
        "good_aud_array_of_several",
        "nothing: the audience among others",
        "RFC 7519 section 4.1.3",
        with_claims(aud=lambda _, claims: ["https://another.invalid", _audience(claims)]),
        fits=TOKENS,
    ),
    _lawful(
        "good_without_kid",
        "nothing: no kid where one key serves",
        "RFC 7515 section 4.1.4",
        _without_kid,
        fits=TOKENS,
        room="where the issuer always names one, nobody is lost",
    ),
    _lawful(
        "good_unknown_claims",
        "nothing: claims that nobody knows",
        "RFC 7519 section 4",
        with_claims(x_unknown=lambda *_: {"a": [1, None, "ü"]}, **{"https://x.invalid/c": lambda *_: True}),
    ),
    _lawful(
        "good_unknown_header",
        "nothing: a header parameter that nobody knows",
        "RFC 7515 section 4",
        with_header(x_unknown="a"),
    ),
    _lawful(
        "good_exp_fraction",
        "nothing: an expiry with a fraction",
        "RFC 7519 section 2, NumericDate",
        with_claims(exp=lambda now, _: now + 300.5),
    ),
    _lawful("good_without_nbf", "nothing: no nbf", "RFC 7519 section 4.1.5", with_claims(nbf=lambda *_: DROP)),
    _lawful(
        "good_just_now", "nothing: issued this very second", "RFC 7519 section 4.1.6", with_claims(nbf=_now, iat=_now)
    ),
    _lawful("good_reordered", "nothing: claims in another order", "RFC 8259 section 4", _reordered),
    _lawful("good_spaced", "nothing: JSON with white space", "RFC 8259 section 2", _spaced),
    _lawful(
        "good_escaped",
        "nothing: JSON with escaped letters",
        "RFC 8259 section 7",
        lambda material: resealed(material, own_header(material), _escaped(claims_of(material))),
    ),
    _typed("at_jwt", "at+jwt", "RFC 9068 section 2.1"),
    _typed("application_at_jwt", "application/at+jwt", "RFC 9068 section 2.1"),
    _typed("jwt", "JWT", "RFC 7519 section 5.1"),
    _lawful(
        "good_typ_absent",
        "nothing: no typ",
        "RFC 7519 section 5.1",
        _untyped,
        fits=TOKENS,
        room="RFC 9068 wants one, RFC 7519 does not",
    ),
    _typed("upper_case", "AT+JWT", "RFC 2045 section 5.1", "typ in upper case, for media types have none"),
    _lawful(
        "good_scope_of_many",
        "nothing: the scope among others",
        "RFC 8693 section 4.2",
        with_claims(scope=lambda _, claims: f"x:first {claims.get('scope', '')} x:last".replace("  ", " ")),
        fits=TOKENS,
    ),
    _lawful(
        "good_large",
        "nothing: a token of 4 KiB",
        "RFC 9110 section 5.4 sets no limit",
        with_claims(x_padding=lambda *_: "x" * 3000),
        fits=TOKENS,
        room="a server may limit its headers",
    ),
)


def _audience(claims: Members) -> object:
    audience = claims.get("aud")
    if not audience:
        raise NotApplicableError("the target's tokens name no audience")
    return audience[0] if isinstance(audience, list) else audience


def _escaped(claims: Members) -> bytes:
    def letters(text: str) -> str:
        return "".join(f"\\u{ord(letter):04x}" for letter in text)

    return ("{" + ",".join(f'"{letters(name)}":{json.dumps(value)}' for name, value in claims.items()) + "}").encode()
