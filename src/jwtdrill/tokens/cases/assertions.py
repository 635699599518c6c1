"""Assertions by which a client asks for a token or proves who it is (RFC 7523), beyond what any token may say wrong."""

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import ASSERTIONS, BY_SIGNER, Case, Forge, History, Material, Severity, Subject
from jwtdrill.tokens.cases.crafting import DROP, FAR, genuine, with_claims

_AS_CLIENT = frozenset({Subject.CLIENT_ASSERTION})
_AS_GRANT = frozenset({Subject.ASSERTION})
_BIS = "draft-ietf-oauth-rfc7523bis; RFC 7523 section 3"
_BEFORE_BIS = "RFC 7523 section 3 allows it, and rfc7523bis, which forbids it, is still a draft"


def _aud(*names: str) -> Forge:
    """The audience as these, of `issuer`, `token_endpoint` and others as they are; one alone is no array."""

    def forge(material: Material) -> str:
        known = {"issuer": material.issuer, "token_endpoint": material.token_endpoint}
        values = [known.get(name, name) for name in names]
        return with_claims(aud=lambda *_: values if len(values) > 1 else values[0])(material)

    return forge


def _assertion(
    name: str,
    attacks: str,
    source: str,
    forge: Forge,
    reason: Reason | None,
    fits: frozenset[Subject] = ASSERTIONS,
    severity: Severity = Severity.MEDIUM,
    room: str = "",
) -> Case:
    return Case(name, "assertion", attacks, source, forge, reason, severity, fits, BY_SIGNER, room=room)


CASES = (
    _assertion(
        "good_aud_token_endpoint",
        "nothing: the token endpoint as a grant's audience",
        _BIS,
        _aud("token_endpoint"),
        None,
        _AS_GRANT,
        room="a server may want its issuer identifier",
    ),
    _assertion("good_aud_issuer", "nothing: the issuer as the audience", _BIS, _aud("issuer"), None),
    _assertion(
        "aud_token_endpoint",
        "the token endpoint as audience of a client's authentication",
        _BIS,
        _aud("token_endpoint"),
        Reason.WRONG_AUDIENCE,
        _AS_CLIENT,
        room=_BEFORE_BIS,
    ),
    _assertion(
        "aud_issuer_and_endpoint",
        "two audiences in a client's authentication",
        _BIS,
        _aud("issuer", "token_endpoint"),
        Reason.WRONG_AUDIENCE,
        _AS_CLIENT,
        room=_BEFORE_BIS,
    ),
    _assertion(
        "aud_issuer_and_stranger",
        "a stranger beside the issuer in a client's authentication",
        _BIS,
        _aud("issuer", "https://another.invalid"),
        Reason.WRONG_AUDIENCE,
        _AS_CLIENT,
        room=_BEFORE_BIS,
    ),
    _assertion(
        "sub_of_another_client",
        "a client that speaks for another",
        "RFC 7523 section 3, point 2B",
        with_claims(sub=lambda *_: "another-client"),
        Reason.WRONG_ISSUER,
        _AS_CLIENT,
        Severity.HIGH,
    ),
    _assertion(
        "assertion_sub_absent",
        "no subject",
        "RFC 7523 section 3, point 2",
        with_claims(sub=lambda *_: DROP),
        Reason.MISSING_CLAIM,
    ),
    _assertion(
        "assertion_jti_absent",
        "no jti, so that nobody can see that it comes again",
        "RFC 7523 section 3, point 7",
        with_claims(jti=lambda *_: DROP),
        Reason.MISSING_CLAIM,
        severity=Severity.LOW,
        room="RFC 7523 section 3 lets it be absent",
    ),
    _assertion(
        "assertion_lasts_a_year",
        "an assertion that lasts a year",
        "RFC 7523 section 3, point 4",
        with_claims(exp=lambda now, _: now + 365 * 24 * FAR),
        Reason.MALFORMED,
        room="a server may refuse one that lasts unreasonably long, and may not",
    ),
    _assertion(
        "assertion_of_last_year",
        "an assertion that was made a year ago and has not expired",
        "RFC 7523 section 3, point 6",
        with_claims(iat=lambda now, _: now - 365 * 24 * FAR, nbf=lambda *_: DROP),
        Reason.MALFORMED,
        severity=Severity.LOW,
        room="a server may refuse one that was issued unreasonably far in the past, and may not",
    ),
    Case(
        "assertion_replayed",
        "replay",
        "an assertion that was used before",
        "RFC 7523 section 3, point 7; RFC 6819 section 4.6.2",
        genuine,
        Reason.REPLAYED,
        Severity.HIGH,
        ASSERTIONS,
        history=History.USED,
        room="RFC 7523 section 3, point 7 lets a server keep count of them, and does not ask for it",
    ),
)
