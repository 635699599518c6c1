"""The page of faults of keys and clocks names them all, and each parameter that they have."""

import re
from dataclasses import fields
from pathlib import Path

from jwtdrill.faults.clock.base import ClockFault
from jwtdrill.faults.keys.base import KeysFault
from jwtdrill.faults.registry import FAULTS, find_fault

PAGE = Path(__file__).parents[2] / "docs/faults.md"


def test_the_page_names_every_fault_of_keys_and_clocks_with_its_parameters() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) ?\|", PAGE.read_text(), re.MULTILINE)
    listed = {name: re.findall(r"`(\w+)`", parameters) for name, parameters in rows}
    assert set(listed) >= {name for name, kind in FAULTS.items() if issubclass(kind, KeysFault | ClockFault)}
    for name, parameters in listed.items():
        assert parameters == [field.name for field in fields(find_fault(name)) if field.init], name  # type: ignore[arg-type]
