"""Tokens borne where they do not belong, and requests without any."""

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import FROM_GENUINE, NOTHING, TOKENS, Carrier, Case, Severity
from jwtdrill.tokens.cases.crafting import genuine

_ROOM = "RFC 6750 section 2.3 let a resource offer it; RFC 9700 section 4.3.2 does not"


def _carried(name: str, attacks: str, source: str, carrier: Carrier, severity: Severity, room: str = "") -> Case:
    needs = FROM_GENUINE if carrier is not Carrier.NOTHING else NOTHING
    forge = genuine if carrier is not Carrier.NOTHING else lambda _: ""
    return Case(name, "carrier", attacks, source, forge, Reason.MALFORMED, severity, TOKENS, needs, carrier, room)


CASES = (
    _carried("no_token", "no token at all", "RFC 6750 section 3", Carrier.NOTHING, Severity.CRITICAL),
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
