"""Faults are named and parametrised by users: whatever is wrong is said in one line."""

import re
from pathlib import Path

import pytest

import jwtdrill.faults
from jwtdrill.errors import BadInputError
from jwtdrill.faults.registry import FAULTS, make_fault

FOLDER = Path(jwtdrill.faults.__file__).parent


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("jwks.statsu", {}, "unknown fault 'jwks.statsu': choose from clock.skew, jwks.garbage"),
        ("jwks.status", {"code": 503}, "has no parameter 'code': it has retry_after, status"),
        ("jwks.status", {"status": 200}, "parameter status"),
        ("jwks.refused", {"blast_radius": "x"}, "has no parameter 'blast_radius': it has none"),
        ("keys.rotate_without_overlap", {"_old": "x"}, "has no parameter '_old'"),
        ("jwks.latency", {"seconds": -1}, "parameter seconds"),
        ("jwks.latency", {"seconds": "soon"}, "parameter seconds"),
        ("clock.skew", {"clock": "a"}, "parameter seconds"),
    ],
)
def test_a_wrong_fault_is_refused(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(message)):
        make_fault(name, params)


def test_every_fault_says_who_suffers_and_for_how_long() -> None:
    for kind in FAULTS.values():
        assert kind.blast_radius
        assert kind.after_effect


def test_one_fault_one_file() -> None:
    files = {p.stem for folder in ("http", "clock", "keys") for p in (FOLDER / folder).glob("*.py")}
    assert files - {"__init__", "base"} == {name.partition(".")[2] for name in FAULTS}
