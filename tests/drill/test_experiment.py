"""A drill's file is checked whole before anything starts."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.drill.experiment import Experiment, find_experiment, shipped_experiments
from jwtdrill.errors import BadInputError

CONTENT = yaml.safe_load(find_experiment("jwks_outage").read_text())


@pytest.mark.parametrize("name", shipped_experiments())
def test_shipped_drills_declare_what_the_catalogue_says(name: str) -> None:
    experiment = Experiment.read(find_experiment(name))
    mode = next(mode for mode in FAILURE_MODES if mode.drill == name)
    assert experiment.expected.failure_mode == mode.id
    assert {alert.name for alert in experiment.expected.alerts} == set(mode.alerts)
    assert {fault for fault, _ in experiment.faults()} <= set(mode.faults)
    assert experiment.faults()


def arguments(content: dict[str, Any], func: str) -> dict[str, Any]:
    found: dict[str, Any] = next(a for a in content["method"] if a["provider"]["func"] == func)["provider"]["arguments"]
    return found


def spoil_fault(content: dict[str, Any]) -> None:
    arguments(content, "begin_fault")["fault"] = "jwks.statsu"


def spoil_params(content: dict[str, Any]) -> None:
    arguments(content, "begin_fault")["params"] = {"status": 200}


def spoil_lease(content: dict[str, Any]) -> None:
    arguments(content, "begin_fault")["lease"] = 9999


def spoil_phase(content: dict[str, Any]) -> None:
    arguments(content, "observe")["phase"] = "contrl"


def spoil_cases(content: dict[str, Any]) -> None:
    arguments(content, "start_load")["cases"] = "vlaid"


def spoil_alert(content: dict[str, Any]) -> None:
    content["extensions"][0]["alerts"][0]["name"] = "JwtNothing"


def spoil_mode(content: dict[str, Any]) -> None:
    content["extensions"][0]["failure_mode"] = "F99"


def spoil_key(content: dict[str, Any]) -> None:
    content["extensions"][0]["recovery"] = 1


def drop_extension(content: dict[str, Any]) -> None:
    del content["extensions"]


def drop_control(content: dict[str, Any]) -> None:
    del content["controls"]


def drop_strategy(content: dict[str, Any]) -> None:
    del content["runtime"]


def drop_method(content: dict[str, Any]) -> None:
    del content["method"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_fault, "method: take the key set down: unknown fault 'jwks.statsu': choose from"),
        (spoil_params, "fault jwks.status: parameter status"),
        (spoil_lease, "a lease lasts at most 120 s"),
        (spoil_phase, "phase must be one of control, fault, recovery"),
        (spoil_cases, "unknown case 'vlaid'"),
        (spoil_alert, "unknown alert 'JwtNothing'"),
        (spoil_mode, "unknown failure mode 'F99'"),
        (spoil_key, r"extensions\.jwtdrill\.recovery"),
        (drop_extension, "no extension called jwtdrill"),
        (drop_control, "without it nothing is judged"),
        (drop_strategy, "must be always"),
        (drop_method, "needs title, description and method"),
    ],
)
def test_a_wrong_drill_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    content = copy.deepcopy(CONTENT)
    spoil(content)
    path = tmp_path / "drill.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BadInputError, match=message) as caught:
        Experiment.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_yaml_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "drill.yaml"
    path.write_text("title: x\nmethod: [\n")
    with pytest.raises(BadInputError, match=r"drill\.yaml:3: not YAML"):
        Experiment.read(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="one of clock_skew, jwks_outage, rotation_without_overlap"):
        find_experiment("jwks_outrage")
