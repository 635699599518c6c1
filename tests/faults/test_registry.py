"""Faults are named and parametrised by users: whatever is wrong is said in one line."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import jwtdrill.faults
from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.registry import FAULTS, HTTP_FAULTS, find_fault, make_fault
from jwtdrill.target.model import Times

FOLDER = Path(jwtdrill.faults.__file__).parent


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("jwks.statsu", {}, "unknown fault 'jwks.statsu': choose from clock.back_step, clock.drift"),
        (
            "jwks.status",
            {"code": 503},
            "has no parameter 'code': it has addresses, agents, flapping, retry_after, share, status",
        ),
        ("jwks.status", {"status": 200}, "parameter status"),
        ("jwks.refused", {"blast_radius": "x"}, "has no parameter 'blast_radius': it has addresses"),
        ("keys.rotate_without_overlap", {"_old": "x"}, "has no parameter '_old'"),
        ("jwks.status", {"route": "token"}, "has no parameter 'route'"),
        ("jwks.status", {"share": 0}, "parameter share"),
        ("jwks.status", {"addresses": ["10.0.0.0/99"]}, "parameter addresses"),
        ("keys.status", {}, "unknown fault 'keys.status'"),
        (".status", {}, "unknown fault '.status'"),
        ("jwks.latency", {"seconds": -1}, "parameter seconds"),
        ("jwks.latency", {"seconds": "soon"}, "parameter seconds"),
        ("clock.skew", {"clock": "a"}, "parameter seconds"),
    ],
)
def test_a_wrong_fault_is_refused(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(BadInputError, match=re.escape(message)):
        make_fault(name, params)


def test_every_fault_says_who_suffers_and_for_how_long() -> None:
    wanted = {"clock": "a", "seconds": 1, "process": "a", "processes": ["a"], "rate": 1, "most": 9}
    for name in (*FAULTS, *(f"jwks.{kind}" for kind in HTTP_FAULTS)):
        kind = find_fault(name)
        required = {
            one.name for one in fields(kind) if one.init and one.default is MISSING and one.default_factory is MISSING
        }  # type: ignore[arg-type]
        fault = make_fault(name, {key: value for key, value in wanted.items() if key in required})
        assert fault.blast_radius
        assert fault.after_effect.words
        assert set(fault.after_effect.times) <= set(Times.model_fields)


def test_an_after_effect_without_a_bound_says_what_to_set() -> None:
    effect = AfterEffect("for a while", ("cache_lifetime", "retry"), seconds=1)
    assert effect.bound(Times(cache_lifetime=10, retry=2)) == 13
    with pytest.raises(BadInputError, match="for a while, and nothing says how long: set retry under"):
        effect.bound(Times(cache_lifetime=10))


def test_one_fault_one_file() -> None:
    folders = {"http": HTTP_FAULTS, **{name.partition(".")[0]: () for name in FAULTS}}
    for folder in folders:
        files = {path.stem for path in (FOLDER / folder).glob("*.py")} - {"__init__", "base"}
        own = {name.partition(".")[2] for name in FAULTS if name.startswith(f"{folder}.")}
        assert files == (set(HTTP_FAULTS) if folder == "http" else own)
