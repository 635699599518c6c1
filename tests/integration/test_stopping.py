"""A drill stops itself when more breaks than it announced; two never meet on one target; the journal has it all."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.integration.conftest import Commands, missing_programs, until
from tests.integration.test_gameday import short, without_fault

from jwtdrill.faults.client import FaultClient
from jwtdrill.target.load import load_target

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def gameday(lab: Commands, path: Path, out: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return lab.run("jwtdrill", "gameday", path, "--target", lab.target, "--yes", "--out", out, *more, timeout=200)


def drill(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "journal.json").read_text())["drills"][0]
    return found


def journal(lab: Commands) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.journal.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "fault", "expect", "reason"),
    [
        # The one that watches alerts comes first: it wants a lab on which nothing fires.
        (
            "forged_tokens",
            {"fault": "misuse.over_scoped", "params": {"rate": 5}},
            {},
            "JwtExcessScope fires, which was not",
        ),
        ("clock_skew", None, {"most_failing": 0.02}, "of good calls fail: at most 2% may"),
        (
            "forged_tokens",
            {"fault": "misuse.forged", "params": {"rate": 5, "stolen_key": True}},
            {},
            "bad tokens were let in: at most 0 may be",
        ),
    ],
    ids=["unannounced", "failing", "let_in"],
)
def test_a_drill_stops_itself(
    lab: Commands,
    agent: FaultClient,
    tmp_path: Path,
    name: str,
    fault: dict[str, Any] | None,
    expect: dict[str, Any],
    reason: str,
) -> None:
    path = short(tmp_path, name, 6, 40, 5, **expect)
    if fault is not None:
        content = yaml.safe_load(path.read_text())
        for activity in content["method"]:
            if activity["provider"]["func"] == "begin_fault":
                activity["provider"]["arguments"] = {**fault, "lease": 5}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    more = [] if name == "forged_tokens" and "let in" not in reason else ["--without-alerts"]
    done = gameday(lab, path, tmp_path / "out", *more)
    assert done.returncode == 1, done.stderr
    found = drill(tmp_path / "out")
    assert found["outcome"] == "violated"
    [why] = [one["detail"] for one in found["findings"] if one["what"] == "The drill had no reason to stop itself"]
    assert reason in why
    assert found["phases"]["fault"][1] - found["phases"]["fault"][0] < 35
    assert found["phases"]["recovery"][1] - found["phases"]["recovery"][0] >= 6
    assert found["recovered_after"] is not None
    assert not agent.leases()
    actions = [line["action"] for line in journal(lab)][-4:]
    assert "drill stops itself" in actions
    assert actions[-1] == "drill ends"


def test_two_drills_never_meet_on_one_target(lab: Commands, agent: FaultClient, tmp_path: Path) -> None:
    path = short(tmp_path, "jwks_outage", 10, 5, 5)
    first = lab.start(
        *("jwtdrill", "gameday", path, "--target", lab.target, "--yes", "--without-alerts", "--out", tmp_path / "one")
    )
    until(lambda: bool(agent.leases()), 60)
    second = gameday(lab, path, tmp_path / "two", "--without-alerts")
    assert second.returncode == 2
    assert "another drill is under way" in second.stderr.splitlines()[-1]
    assert not (tmp_path / "two").exists()
    first.terminate()
    first.communicate(timeout=60)


def test_a_target_file_that_changes_in_mid_drill_is_not_broken(
    lab: Commands, agent: FaultClient, tmp_path: Path
) -> None:
    target = lab.folder / "changing.toml"
    target.write_text(lab.target.read_text())
    path = short(tmp_path, "jwks_outage", 15, 5, 5)
    process = lab.start(
        *("jwtdrill", "gameday", path, "--target", target, "--yes", "--without-alerts", "--out", tmp_path / "out")
    )
    until(lambda: bool(agent.leases()), 60)
    time.sleep(6)
    target.write_text(target.read_text() + "# another\n")
    said, _ = process.communicate(timeout=120)
    target.unlink()
    assert process.returncode == 3, said
    assert "has changed since the drill began: begin it again" in said
    assert not agent.active()


@pytest.mark.skipif(missing_programs(), reason="prometheus and libfaketime are not installed")
def test_without_its_canary_a_drill_says_nothing(tmp_path: Path) -> None:
    """On a lab of its own, on which nothing fires yet."""
    path = without_fault(short(tmp_path, "jwks_outage", 5, 60, 5))
    process = Commands(tmp_path / "lab").start("jwtdrill", "gameday", path, "--out", tmp_path / "out")

    def canaries() -> list[psutil.Process]:
        family = psutil.Process(process.pid).children(recursive=True)
        return [child for child in family if "canary" in child.cmdline()]

    until(lambda: bool(canaries()), 60)
    time.sleep(10)  # until it has been heard
    canaries()[0].suspend()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 3, said
    assert ": without canary and load nothing can be judged" in said
    assert drill(tmp_path / "out")["outcome"] == "invalid"


def test_the_journal_has_every_action_with_time_actor_and_target(lab: Commands) -> None:
    lines = journal(lab)
    assert {"begin", "end", "drill begins", "drill ends"} <= {line["action"] for line in lines}
    issuer = load_target(str(lab.target)).issuer.url
    for line in lines:
        assert line["time"].endswith("+00:00")
        assert line["actor"]
        assert line["target"] == f"lab {issuer}"
    assert lab.journal.stat().st_mode & 0o777 == 0o600
