"""Tokens borne where they do not belong, and requests without any."""

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import FROM_GENUINE, NOTHING, TOKENS, Carrier, Case, Material, Severity
from jwtdrill.tokens.cases.crafting import encode, genuine, segments, signature_of

_ROOM = "RFC 6750 section 2.3 let a resource offer it; RFC 9700 section 4.3.2 does not"


def _carried(name: str, attacks: str, source: str, carrier: Carrier, severity: Severity, room: str = "") -> Case:
    without = carrier in (Carrier.NOTHING, Carrier.IDENTITY_HEADERS)
    needs, forge = (NOTHING, lambda _: "") if without else (FROM_GENUINE, genuine)
    return Case(name, "carrier", attacks, source, forge, Reason.MALFORMED, severity, TOKENS, needs, carrier, room)


def _forged(name: str, attacks: str, carrier: Carrier) -> Case:
    """Believed unread by who verifies in the header alone."""
    return Case(
        name,
        "carrier",
        attacks,
        "RFC 6750 section 2",
        _unsigned,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
        TOKENS,
        FROM_GENUINE,
        carrier,
    )


def _unsigned(material: Material) -> str:
    """With another signature of the same length."""
    header, payload, _ = segments(material)
    return f"{header}.{payload}.{encode(bytes(byte ^ 0x55 for byte in signature_of(material)))}"


CASES = (
    _carried("no_token", "no token at all", "RFC 6750 section 3", Carrier.NOTHING, Severity.CRITICAL),
    _carried(
        "identity_headers",
        "no token, and headers by which an edge would say who asks",
        "RFC 9110 section 7.6",
        Carrier.IDENTITY_HEADERS,
        Severity.CRITICAL,
    ),
    _forged("forged_in_query", "a forged token in the query", Carrier.QUERY),
    _forged("forged_in_form", "a forged token in a form", Carrier.FORM),
    _carried(
        "in_query",
        "the token in the query, where logs keep it",
        "RFC 9700 section 4.3.2",
        Carrier.QUERY,
        Severity.MEDIUM,
        _ROOM,
    ),
    _carried(
        "in_form",
        "the token in a form",
        "RFC 6750 section 2.2",
        Carrier.FORM,
        Severity.LOW,
        "RFC 6750 section 2.2 lets a resource offer it",
    ),
    _carried(
        "in_header_and_query",
        "the token in two places",
        "RFC 6750 section 2",
        Carrier.HEADER_AND_QUERY,
        Severity.LOW,
        "who does not look at the query sees one token",
    ),
    _carried(
        "in_two_headers",
        "two Authorization headers",
        "RFC 9110 section 5.3",
        Carrier.TWO_HEADERS,
        Severity.LOW,
        "servers differ in which of two they read",
    ),
    _carried(
        "other_scheme",
        "the token under another scheme's name",
        "RFC 9110 section 11.1",
        Carrier.OTHER_SCHEME,
        Severity.LOW,
    ),
)
