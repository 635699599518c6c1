"""The corpus: kinds of token, each with exactly one defect or none, and the verdict that it should meet with.

A family is a file: `lawful` (good tokens), `algorithms`, `signatures`, `headers`, `encoding`, `claims`, `heavy`,
`carriers`, `histories` (one token, before and after), `assertions`, `proofs`,
`certificates`. `case` says what a case is, `crafting`
holds what forgers share. A new case is one entry in its family.
"""

import difflib
from collections.abc import Mapping

from jwtdrill.errors import BadInputError
from jwtdrill.tokens.cases import (
    algorithms,
    assertions,
    carriers,
    certificates,
    claims,
    encoding,
    headers,
    heavy,
    histories,
    lawful,
    proofs,
    signatures,
)
from jwtdrill.tokens.cases.case import (
    Carrier,
    Case,
    History,
    Material,
    Need,
    NotApplicableError,
    Severity,
    Subject,
)

_FAMILIES = (
    *(lawful, algorithms, signatures, headers, encoding, claims, heavy, carriers),
    *(histories, assertions, proofs, certificates),
)
CASES: Mapping[str, Case] = {case.id: case for family in _FAMILIES for case in family.CASES}
QUICK = tuple(
    CASES[name] for name in ("valid", "bad_signature", "unknown_kid", "alg_none", "signature_empty", "no_token")
)


def case(name: str) -> Case:
    """The case of that id. Raises BadInputError that says where to find the ones there are."""
    found = CASES.get(name)
    if found is None:
        near = difflib.get_close_matches(name, CASES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BadInputError(f"unknown case {name!r}: {hint}`jwtdrill cases` lists them all")
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


__all__ = [
    "CASES",
    "QUICK",
    "Carrier",
    "Case",
    "History",
    "Material",
    "Need",
    "NotApplicableError",
    "Severity",
    "Subject",
    "case",
    "parse_mix",
]
