"""Everything in a lab has a port of its own."""

import json
from pathlib import Path

from jwtdrill.lab.lab import Lab, LabOptions
from jwtdrill.lab.parts import Part
from jwtdrill.lab.settings import DRILL


def test_no_listener_of_the_fault_proxy_has_the_port_of_a_part(tmp_path: Path) -> None:
    """The part `introspection` and the proxied endpoint of that name could never run in one lab."""
    lab = Lab(tmp_path, LabOptions(DRILL, watch=False, parts=tuple(Part)))
    lab._agent()
    listeners = {one["port"] for one in json.loads((tmp_path / "agent.json").read_text())["listeners"]}
    parts = {lab._site.ports[name] for name in ("envoy", "gateway", "authorizer", "introspection", "verifier-c")}
    assert len(listeners) == 5
    assert not listeners & parts
