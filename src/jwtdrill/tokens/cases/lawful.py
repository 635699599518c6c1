"""Good tokens in their lawful varieties: a verifier that refuses one of these refuses a user."""

from jwtdrill.tokens.cases.case import ANY, TOKENS, Carrier, Case, Forge, Material, Need, NotApplicableError, Subject
from jwtdrill.tokens.cases.crafting import DROP, Members, claims_of, own_header, resealed, with_claims, with_header

_SIGNED = frozenset({Need.GENUINE, Need.SIGNER})


def _valid(material: Material) -> str:
    return material.genuine


def _without_kid(material: Material) -> str:
    if len(material.jwks) > 1:
        raise NotApplicableError("more than one key is published, so a token must name its own")
    return with_header(kid=DROP)(material)


def _of_type(typ: str) -> Forge:
    def forge(material: Material) -> str:
        if material.types and typ.lower() not in material.types:
            raise NotApplicableError(f"the resource declares other types than {typ}")
        return with_header(typ=typ)(material)

    return forge


def _fraction(now: int, claims: Members) -> float:  # noqa: ARG001
    return now + 300.5


def _long_kept(material: Material) -> str:
    """A little past its expiry by a clock that is a second ahead of ours: within any leeway but none."""
    return with_claims(nbf=lambda now, _: now, iat=lambda now, _: now)(material)


def _reordered(material: Material) -> str:
    claims = claims_of(material)
    return resealed(material, own_header(material), {name: claims[name] for name in reversed(claims)})


def _spaced(material: Material) -> str:
    import json

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
    needs: frozenset[Need] = _SIGNED,
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


_UNDECLARED = "the target does not declare which types of token it takes"

CASES = (
    _lawful("valid", "nothing: as the issuer gave it", "RFC 7519 section 7.2", _valid, needs=frozenset({Need.GENUINE})),
    _lawful(
        "good_scheme_lower_case",
        "nothing: the scheme's name in lower case",
        "RFC 9110 section 11.1",
        _valid,
        fits=TOKENS,
        carrier=Carrier.LOWER_CASE_SCHEME,
        needs=frozenset({Need.GENUINE}),
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
        "good_without_kid", "nothing: no kid where one key serves", "RFC 7515 section 4.1.4", _without_kid, fits=TOKENS
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
        with_claims(exp=_fraction),
    ),
    _lawful("good_without_nbf", "nothing: no nbf", "RFC 7519 section 4.1.5", with_claims(nbf=lambda *_: DROP)),
    _lawful("good_just_now", "nothing: issued this very second", "RFC 7519 section 4.1.6", _long_kept),
    _lawful("good_reordered", "nothing: claims in another order", "RFC 8259 section 4", _reordered),
    _lawful("good_spaced", "nothing: JSON with white space", "RFC 8259 section 2", _spaced),
    _lawful(
        "good_escaped",
        "nothing: JSON with escaped letters",
        "RFC 8259 section 7",
        lambda material: resealed(material, own_header(material), _escaped(claims_of(material))),
    ),
    _lawful(
        "good_typ_at_jwt",
        "nothing: typ at+jwt",
        "RFC 9068 section 2.1",
        _of_type("at+jwt"),
        fits=TOKENS,
        room=_UNDECLARED,
        settled_by="types",
    ),
    _lawful(
        "good_typ_application_at_jwt",
        "nothing: typ application/at+jwt",
        "RFC 9068 section 2.1",
        _of_type("application/at+jwt"),
        fits=TOKENS,
        room=_UNDECLARED,
        settled_by="types",
    ),
    _lawful(
        "good_typ_jwt",
        "nothing: typ JWT",
        "RFC 7519 section 5.1",
        _of_type("JWT"),
        fits=TOKENS,
        room=_UNDECLARED,
        settled_by="types",
    ),
    _lawful(
        "good_typ_absent",
        "nothing: no typ",
        "RFC 7519 section 5.1",
        with_header(typ=DROP),
        fits=TOKENS,
        room="RFC 9068 wants one, RFC 7519 does not",
    ),
    _lawful(
        "good_typ_upper_case",
        "nothing: typ in upper case, for media types have none",
        "RFC 2045 section 5.1",
        _of_type("AT+JWT"),
        fits=TOKENS,
        room=_UNDECLARED,
        settled_by="types",
    ),
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
    import json

    def letters(text: str) -> str:
        return "".join(f"\\u{ord(letter):04x}" for letter in text)

    return ("{" + ",".join(f'"{letters(name)}":{json.dumps(value)}' for name, value in claims.items()) + "}").encode()
