"""The Kubernetes files are what Kubernetes and the Locust operator take, and what our own options and files are."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

import jwtdrill.cli.breaking  # noqa: F401 - has the command
from jwtdrill.cli.app import app
from jwtdrill.target.load import load_target

FOLDER = Path(__file__).parents[1] / "docs/kubernetes"

# The fields of LocustTest, after charts/locust-operator/crds/locusttest.yaml of locustio/k8s-operator at b64cc066. The
# definition itself lets unknown fields pass, which the cluster then drops in silence: here they are mistakes.
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
AMOUNTS = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
POD = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "labels": STRINGS,
        "annotations": STRINGS,
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"requests": AMOUNTS, "limits": AMOUNTS},
        },
    },
}
LOCUST_TEST = {
    "type": "object",
    "required": ["workers"],
    "additionalProperties": False,
    "properties": {
        "annotations": STRINGS,
        "labels": STRINGS,
        "image": {"type": "string"},
        "imagePullPolicy": {"enum": ["IfNotPresent", "Always", "Never"]},
        "imagePullSecrets": {"type": "array", "items": NAMED},
        "workers": {"type": "integer", "minimum": 1},
        "args": {"type": "string"},
        "env": {
            "type": "array",
            "items": {**NAMED, "properties": {"name": {"type": "string"}, "value": {"type": "string"}}},
        },
        "master": POD,
        "worker": POD,
        "locustfile": {
            "type": "object",
            "properties": {"content": {"type": "string"}, "configMap": NAMED},
            "oneOf": [{"required": ["content"]}, {"required": ["configMap"]}],
        },
        "metrics": {"type": "object", "properties": {"intervalSeconds": {"type": "integer"}}},
    },
}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


@pytest.mark.parametrize("name", ["plain.yaml", "locusttest.yaml", "proxy.yaml"])
def test_kubernetes_takes_its_own_objects(name: str) -> None:
    own = [document for document in documents(name) if document["kind"] != "LocustTest"]
    assert own
    for document in own:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_mistake_in_an_object_would_be_found() -> None:
    job = next(document for document in documents("plain.yaml") if document["kind"] == "Job")
    job["spec"]["template"]["spec"]["containers"][0]["arguments"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)


def test_the_operator_takes_the_locust_test() -> None:
    [test] = [document for document in documents("locusttest.yaml") if document["kind"] == "LocustTest"]
    assert test["apiVersion"] == "locust.io/v1"
    jsonschema.validate(test["spec"], LOCUST_TEST)


@pytest.mark.parametrize(("name", "kind"), [("plain.yaml", "jwtdrill-target"), ("locusttest.yaml", "jwtdrill")])
def test_the_target_file_in_the_config_map_is_valid(name: str, kind: str, tmp_path: Path) -> None:
    [config] = [d for d in documents(name) if d["kind"] == "ConfigMap" and d["metadata"]["name"] == kind]
    path = tmp_path / "target.toml"
    path.write_text(config["data"]["target.toml"])
    assert load_target(str(path)).environment == "staging"


def test_master_and_workers_are_as_many_as_they_expect_and_mount_what_they_name() -> None:
    jobs = {d["metadata"]["name"]: d["spec"] for d in documents("plain.yaml") if d["kind"] == "Job"}
    pods = {name: job["template"]["spec"] for name, job in jobs.items()}
    arguments = {name: pod["containers"][0]["args"] for name, pod in pods.items()}
    assert f"--expect-workers={jobs['jwtdrill-workers']['parallelism']}" in arguments["jwtdrill-master"]
    assert "--master-host=jwtdrill-master" in arguments["jwtdrill-workers"]
    for pod in pods.values():
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_arguments_are_options_that_locust_and_we_have() -> None:
    help_text = _help()
    for document in documents("plain.yaml"):
        if document["kind"] == "Job":
            for argument in document["spec"]["template"]["spec"]["containers"][0]["args"]:
                assert argument.startswith("--locustfile=") or argument.partition("=")[0] in help_text, argument
    [test] = [document for document in documents("locusttest.yaml") if document["kind"] == "LocustTest"]
    for word in test["spec"]["args"].split():
        assert not word.startswith("--") or word in help_text


def test_the_fault_proxys_pod_is_one_takes_our_options_and_can_read_its_secret() -> None:
    service, deployment = documents("proxy.yaml")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    known = {option for parameter in get_command(app).commands["proxy"].params for option in parameter.opts}  # type: ignore[attr-defined]
    given = dict(argument.split("=", 1) for argument in container["args"])
    assert set(given) <= known
    assert container["command"] == ["jwtdrill", "proxy"]
    assert deployment["spec"]["replicas"] == 1
    port = service["spec"]["ports"][0]["port"]
    assert given["--listen"].endswith(f":{port}")
    assert given["--public"].endswith(f":{port}")
    assert container["readinessProbe"]["tcpSocket"] == {"port": port}
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    for option in ("--cert", "--control-token"):
        assert given[option].startswith(f"{mounted['secret']}/")
    mode = next(volume["secret"]["defaultMode"] for volume in pod["volumes"] if volume["name"] == "secret")
    assert not mode & 0o007  # else the proxy refuses the token file
    assert mode & 0o040


def _help() -> str:
    """Locust's own options and ours; `locust --help` prints the former alone, for it reads no locustfile first."""
    program = (
        "from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments\n"
        "from jwtdrill.load.options import add_options\n"
        "parser = get_empty_argument_parser()\n"
        "setup_parser_arguments(parser)\n"
        "add_options(parser)\n"
        "print(parser.format_help())\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
