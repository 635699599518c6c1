"""The page of faults names them all, and each parameter of those that are not traffic."""

import re
from dataclasses import fields
from pathlib import Path

from jwtdrill.faults.clock.base import ClockFault
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.issuer.overloaded import Overloaded
from jwtdrill.faults.keys.base import KeysFault
from jwtdrill.faults.registry import FAULTS, HTTP_FAULTS, find_fault

PAGE = Path(__file__).parents[2] / "docs/faults.md"


def test_the_page_names_every_fault_and_of_most_each_parameter() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) ?\|", text, re.MULTILINE)
    listed = {name: re.findall(r"`(\w+)`", parameters) for name, parameters in rows}
    in_the_proxy = {f"jwks.{kind}" for kind in HTTP_FAULTS}
    with_parameters = {name for name, kind in FAULTS.items() if issubclass(kind, KeysFault | ClockFault | Overloaded)}
    assert set(listed) >= with_parameters | in_the_proxy
    assert {name for name in FAULTS if f"`{name}`" not in text} == set()
    shared = {one.name for one in fields(HttpFault) if one.init}
    for name in with_parameters | in_the_proxy:
        own = [one.name for one in fields(find_fault(name)) if one.init]  # type: ignore[arg-type]
        assert listed[name] == [one for one in own if name in with_parameters or one not in shared], name
    assert all(f"`{one}`" in text for one in shared - {"route"})
