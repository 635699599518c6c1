"""The TimeChaos object is what Chaos Mesh takes, and always ends by itself."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jwtdrill.errors import BadInputError
from jwtdrill.faults.timechaos import PodMode, TimeChaos, seconds_of

# The fields of TimeChaos, after config/crd/bases/chaos-mesh.org_timechaos.yaml and api/v1alpha1/timechaos_types.go of
# chaos-mesh/chaos-mesh. What the definition does not have the cluster drops in silence: here it is a mistake.
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
STRINGS = {"type": "object", "additionalProperties": TEXT}
CLOCKS = [
    f"CLOCK_{name}"
    for name in (
        *("REALTIME", "MONOTONIC", "PROCESS_CPUTIME_ID", "THREAD_CPUTIME_ID", "MONOTONIC_RAW"),
        *("REALTIME_COARSE", "MONOTONIC_COARSE", "BOOTTIME", "REALTIME_ALARM", "BOOTTIME_ALARM"),
    )
]
DURATION = {"type": "string", "pattern": r"^[+-]?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"}
TIME_CHAOS = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "chaos-mesh.org/v1alpha1"},
        "kind": {"const": "TimeChaos"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": TEXT, "namespace": TEXT, "labels": STRINGS, "annotations": STRINGS},
        },
        "spec": {
            "type": "object",
            "required": ["mode", "selector", "timeOffset", "duration"],  # the last by our own rule
            "additionalProperties": False,
            "properties": {
                "mode": {"enum": ["one", "all", "fixed", "fixed-percent", "random-max-percent"]},
                "value": TEXT,
                "selector": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "namespaces": TEXTS,
                        "nodes": TEXTS,
                        "podPhaseSelectors": TEXTS,
                        "labelSelectors": STRINGS,
                        "annotationSelectors": STRINGS,
                        "fieldSelectors": STRINGS,
                        "nodeSelectors": STRINGS,
                        "pods": {"type": "object", "additionalProperties": TEXTS},
                    },
                },
                "containerNames": TEXTS,
                "timeOffset": DURATION,
                "clockIds": {"type": "array", "items": {"enum": CLOCKS}},
                "duration": DURATION,
            },
        },
    },
}
GUIDE = Path(__file__).parents[2] / "docs/kubernetes/README.md"
GIVEN: dict[str, Any] = {"offset": "-30s", "duration": "90s", "namespace": "shop", "labels": {"app": "orders"}}


def chaos(**changes: Any) -> TimeChaos:
    return TimeChaos(**{**GIVEN, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mode": PodMode.ALL, "containers": ("app", "sidecar-1")},
        {"offset": "1h30m", "duration": "1.5m", "labels": {"app.kubernetes.io/name": "idp", "tier": "", "v": "1.2_x"}},
        {"labels": {"version": "1", "canary": "true", "on": "null"}},  # that YAML must not take for anything else
    ],
)
def test_chaos_mesh_takes_it(changes: dict[str, Any]) -> None:
    wanted = chaos(**changes)
    content = yaml.safe_load(wanted.to_yaml())
    jsonschema.validate(content, TIME_CHAOS)
    spec = content["spec"]
    assert spec["mode"] == wanted.mode
    assert spec["selector"] == {"namespaces": ["shop"], "labelSelectors": wanted.labels}
    assert (spec["timeOffset"], spec["duration"]) == (wanted.offset, wanted.duration)
    assert spec["clockIds"] == ["CLOCK_REALTIME"]
    assert spec.get("containerNames", []) == list(wanted.containers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"duration": "0s"}, "a fault ends by itself, after 3600 s at most"),
        ({"duration": "-90s"}, "a fault ends by itself"),
        ({"duration": "1h1s"}, "a fault ends by itself"),
        ({"duration": "9" * 400 + "h"}, "a fault ends by itself"),
        ({"duration": ""}, "is no duration"),
        ({"duration": "90"}, "is no duration"),
        ({"duration": "forever"}, "is no duration"),
        ({"offset": "0s"}, "a clock is moved by at most 86400 s, and not by none"),
        ({"offset": "-25h"}, "a clock is moved by at most"),
        ({"offset": "30 s"}, "is no duration"),
        ({"labels": {}}, "say which pods by a label"),
        ({"labels": {"a b": "c"}}, "is no label"),
        ({"labels": {"/a": "c"}}, "is no label"),
        ({"labels": {"a/": "c"}}, "is no label"),
        ({"labels": {"a": "c\n"}}, "is no label"),
        ({"namespace": "Shop"}, "is no name of Kubernetes"),
        ({"containers": ("a_b",)}, "is no name of Kubernetes"),
    ],
)
def test_what_has_no_bound_or_is_malformed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        chaos(**changes)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("-1m30s", -90), ("+1.5h", 5400), ("500ms", 0.5), ("1us1ns", 1.001e-6)]
)
def test_durations_of_go(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jwtdrill", "timechaos", *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_prints_it() -> None:
    pods = ("--namespace", "shop", "--label", "app=idp", "--label", "tier=auth")
    done = run("--offset", "2m", "--duration", "60s", *pods, "--mode", "all", "--container", "idp")
    assert (done.returncode, done.stderr) == (0, "")
    content = yaml.safe_load(done.stdout)
    jsonschema.validate(content, TIME_CHAOS)
    assert content["spec"]["selector"]["labelSelectors"] == {"app": "idp", "tier": "auth"}
    assert content["spec"]["containerNames"] == ["idp"]


def test_what_the_guide_says_to_type_works() -> None:
    [line] = re.findall(r"^jwtdrill timechaos (.*) > clock.yaml$", GUIDE.read_text(), re.MULTILINE)
    content = yaml.safe_load(run(*shlex.split(line)).stdout)
    jsonschema.validate(content, TIME_CHAOS)
    metadata = content["metadata"]
    waits = re.findall(r"^kubectl -n (\S+) wait .* timechaos/(\S+)", GUIDE.read_text(), re.MULTILINE)
    assert waits == [(metadata["namespace"], metadata["name"])] * 2


@pytest.mark.parametrize("left_out", ["--offset", "--duration", "--namespace", "--label"])
def test_the_command_wants_a_bound_and_says_what_is_missing(left_out: str) -> None:
    given = {"--offset": "2m", "--duration": "60s", "--namespace": "shop", "--label": "app=idp"}
    done = run(*(word for name, value in given.items() if name != left_out for word in (name, value)))
    assert (done.returncode, done.stdout) == (2, "")
    assert left_out in done.stderr


def test_a_label_without_a_value_is_refused() -> None:
    done = run("--offset", "2m", "--duration", "60s", "--namespace", "shop", "--label", "app")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "jwtdrill: --label app: write KEY=VALUE\n"
