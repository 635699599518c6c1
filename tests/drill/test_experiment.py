"""A drill's file is checked whole before anything starts."""

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jwtdrill.catalog.alerts import ALERTS
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.drill.experiment import Experiment, find_experiment, shipped_experiments
from jwtdrill.errors import BadInputError

CONTENT = yaml.safe_load(find_experiment("jwks_outage").read_text())


@pytest.mark.parametrize("name", shipped_experiments())
def test_shipped_drills_declare_what_the_catalogue_says(name: str) -> None:
    experiment = Experiment.read(find_experiment(name))
    mode = next(mode for mode in FAILURE_MODES if mode.id == experiment.expected.failure_mode)
    must = {alert.name for alert in experiment.expected.alerts}
    assert not must or any(mode.id in alert.detects for alert in ALERTS if alert.name in must)
    assert name in mode.drills
    assert {begun.fault for begun in experiment.faults()} & set(mode.faults)


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
        (spoil_lease, "method: take the key set down: lease: .* 120"),
        (spoil_phase, "phase: Input should be 'control', 'fault' or 'recovery'"),
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


@pytest.mark.parametrize(
    ("func", "changes", "message"),
    [
        ("start_load", {"users": "x"}, "start load: users"),
        ("start_load", {"users": "20"}, "start load: users"),
        ("start_load", {"users": 0}, "start load: users"),
        ("start_load", {"throughput": -1}, "start load: throughput"),
        ("start_load", {"clients": 3}, "start load: clients"),
        ("observe", {"seconds": -1}, "control period: seconds"),
        ("observe", {"seconds": "x"}, "control period: seconds"),
        ("observe", {"seconds": 0.01}, "control period: seconds"),
        ("start_load", {"throughput": float("inf")}, "start load: throughput"),
        ("observe", {"phase": "fault"}, "observe must come once with the phase control, not 0 times"),
        ("begin_fault", {"params": None}, "take the key set down: params"),
        ("begin_fault", {"lease": True}, "take the key set down: lease"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused(func: str, changes: dict[str, Any], message: str) -> None:
    content = copy.deepcopy(CONTENT)
    arguments(content, func).update(changes)
    with pytest.raises(BadInputError, match=message):
        Experiment.parse(content)


def test_two_faults_of_one_clock_are_refused_and_of_one_route_or_two_clocks_are_not() -> None:
    content = copy.deepcopy(CONTENT)
    [fault] = [a for a in content["method"] if a["provider"]["func"] == "begin_fault"]
    second = copy.deepcopy(fault)
    content["method"].insert(content["method"].index(fault), second)
    assert [begun.fault for begun in Experiment.parse(content).faults()] == ["jwks.status", "jwks.status"]
    for activity in (fault, second):
        activity["provider"]["arguments"] = {"fault": "clock.skew", "params": {"clock": "b", "seconds": 1}}
    with pytest.raises(BadInputError, match=r"clock\.skew is in force there still: end it first"):
        Experiment.parse(content)
    second["provider"]["arguments"] = {"fault": "clock.skew", "params": {"clock": "a", "seconds": 1}}
    Experiment.parse(content)


FOREIGN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.sampled_from(
    [
        *((name,) for name in CONTENT),
        ("method", 0),
        ("method", 0, "provider"),
        ("method", 0, "provider", "arguments"),
        ("method", 2, "provider", "arguments", "params"),
        ("controls", 0, "provider"),
        ("runtime", "rollbacks"),
        ("extensions", 0),
        ("extensions", 0, "alerts"),
    ]
)


@settings(deadline=None, max_examples=300)
@given(PLACES, FOREIGN)
def test_whatever_stands_wherever_it_is_read_or_refused(place: tuple[Any, ...], value: object) -> None:
    content = copy.deepcopy(CONTENT)
    holder = content
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    with contextlib.suppress(BadInputError):
        Experiment.parse(content).faults()


def test_what_is_no_yaml_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "drill.yaml"
    path.write_text("title: x\nmethod: [\n")
    with pytest.raises(BadInputError, match=r"drill\.yaml:3: not YAML"):
        Experiment.read(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadInputError, match="one of audience_mismatch, auth0_2018_11"):
        find_experiment("jwks_outrage")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"configuration": None}, "configuration: must be a table"),
        ({"rollbacks": None}, "rollbacks: must be a list"),
        ({"rollbacks": "x"}, "rollbacks: must be a list"),
        ({"tags": 5}, "tags: must be a list"),
        ({"steady-state-hypothesis": None}, "steady-state-hypothesis: must be a table"),
        ({"steady-state-hypothesis": [1]}, "steady-state-hypothesis: must be a table"),
        ({"steady-state-hypothesis": {"title": "x", "probes": None}}, "probes: must be a list"),
        ({"steady-state-hypothesis": {"title": "x", "probes": [None]}}, r"probes\.0: must be a table"),
        ({"method": [5]}, r"method\.0: must be a table"),
    ],
)
def test_what_is_no_table_or_list_is_named_in_words_of_the_file(place: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        Experiment.parse(copy.deepcopy(CONTENT) | place)


def test_phases_out_of_order_and_a_second_load_are_refused() -> None:
    content = copy.deepcopy(CONTENT)
    content["method"].reverse()
    with pytest.raises(BadInputError, match="phases must be in the order control, fault, recovery"):
        Experiment.parse(content)
    content = copy.deepcopy(CONTENT)
    [load] = [a for a in content["method"] if a["provider"]["func"] == "start_load"]
    content["method"].append(load)
    with pytest.raises(BadInputError, match="start_load must come once, not 2 times"):
        Experiment.parse(content)
