"""The proof can fail: with an alert deleted, with a fault that breaks nothing, and when it is killed nothing stays."""

import json
import signal
import time
from pathlib import Path

import pytest
import yaml
from tests.integration.conftest import Commands, missing_programs, processes_naming, until

from jwtdrill.drill.experiment import find_experiment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(missing_programs(), reason="Prometheus, Alertmanager or libfaketime is not installed"),
]


def test_two_drills_side_by_side_are_proved_and_one_fails_when_its_alert_is_deleted(
    commands: Commands, tmp_path: Path
) -> None:
    arguments = ["replay", "rotation_stuck", "--delete-alert", "JwtTokenReplay", "--json", "--out", tmp_path / "out"]
    done = commands.run("jwtdrill", "prove", *arguments, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    found = {row["drill"]: row for row in json.loads(done.stdout)}
    rows = {row["alert"]: row for row in json.loads(done.stdout)}
    assert rows["JwtTokenReplay (ticket)"]["alert was"] == "missed"
    assert rows["JwtRotationFailed (ticket)"]["alert was"] == "in time"
    assert len(found) == 2
    assert "replay: JwtTokenReplay fires as a ticket within" in done.stderr
    assert (tmp_path / "out" / "replay-1" / "report.html").exists()


@pytest.mark.parametrize("name", ["jwks_outage", "rotation_stuck"])
def test_a_drill_whose_fault_breaks_nothing_fails(commands: Commands, tmp_path: Path, name: str) -> None:
    """Another media type hurts no verifier of the lab: all that was demanded must be missed."""
    content = yaml.safe_load(find_experiment(name).read_text())
    for activity in content["method"]:
        match activity["provider"]["func"]:
            case "begin_fault":
                activity["provider"]["arguments"] = {"fault": "jwks.content_type", "lease": 5}
            case "observe" if activity["provider"]["arguments"]["phase"] == "fault":
                activity["provider"]["arguments"] = {"phase": "fault", "seconds": 20}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    done = commands.run("jwtdrill", "gameday", path, "--out", tmp_path / "out", timeout=200)
    assert done.returncode == 1, done.stdout + done.stderr
    [drill] = json.loads((tmp_path / "out" / "journal.json").read_text())["drills"]
    assert drill["outcome"] == "violated"
    assert [alert["after"] for alert in drill["detections"]] == [None] * len(drill["detections"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_proof_that_is_killed_leaves_nothing(commands: Commands, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    process = commands.start("jwtdrill", "prove", "replay", "token_leakage", "--out", out, piped=False)
    until(lambda: len(processes_naming("jwtdrill.lab.serve")) > 0, 60)
    time.sleep(3)
    process.send_signal(number)
    process.wait(60)
    until(lambda: not processes_naming(str(out)), 20)
    until(lambda: not processes_naming("jwtdrill-gameday-"), 20)
