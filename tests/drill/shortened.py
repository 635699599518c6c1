"""Shipped drills with other lengths: there is no time for the real ones in every test."""

from pathlib import Path
from typing import Any

import yaml

from jwtdrill.drill.experiment import find_experiment


def shortened(
    folder: Path, name: str, control: float, fault: float, recovery: float, *, lease: float, **expect: Any
) -> Path:
    """A file of the drill of that name, with these seconds and expectations."""
    content = yaml.safe_load(find_experiment(name).read_text())
    for activity in content["method"]:
        arguments = activity["provider"].get("arguments", {})
        match activity["provider"]["func"]:
            case "observe":
                arguments["seconds"] = {"control": control, "fault": fault, "recovery": recovery}[arguments["phase"]]
            case "begin_fault":
                arguments["lease"] = lease
    content["extensions"][0] |= expect
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
