"""`jwtdrill stop` and `resume` from another terminal, and the journal of what was broken."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import BIN, Commands, until
from tests.integration.test_gameday import chaos_run, short

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.faults.client import FaultClient
from jwtdrill.processes.pidfiles import process_of
from jwtdrill.target.load import load_target

pytestmark = pytest.mark.integration


@pytest.fixture
def agent(lab: Commands) -> Iterator[FaultClient]:
    client = FaultClient.of(load_target(str(lab.target)))
    yield client
    client.resume()
    client.end_all()
    client.close()


def journal(lab: Commands) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.journal.read_text().splitlines()] if lab.journal.exists() else []


def actions(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{line['action']} {line.get('fault', '')}".strip() for line in lines]


def stops(lab: Commands, agent: FaultClient) -> subprocess.CompletedProcess[str]:
    """`jwtdrill stop`, and nothing is in force once it is done; the command itself takes most of the time."""
    done = lab.run("jwtdrill", "stop")
    assert agent.active() == []
    return done


def start(lab: Commands, tmp_path: Path, lease: int, *argv: str | Path) -> tuple[subprocess.Popen[str], Path]:
    path = short(tmp_path, "jwks_outage", 4, 60, 5)
    path.write_text(re.sub(r"lease: \d+", f"lease: {lease}", path.read_text()))
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [BIN / str(argv[0]), *map(str, argv[1:]), path],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            text=True,
            env=lab.env | {"JWTDRILL_TARGET": str(lab.target), "JWTDRILL_WITHOUT_ALERTS": "1"},
        )
    return process, log


def test_stop_ends_a_game_day_from_another_terminal_and_no_drill_begins_before_resume(
    lab: Commands, agent: FaultClient, tmp_path: Path
) -> None:
    before = len(journal(lab))
    out = tmp_path / "out"
    argv = ("jwtdrill", "gameday", "--target", lab.target, "--yes", "--without-alerts", "--out", out)
    process, log = start(lab, tmp_path, 30, *argv)
    until(lambda: bool(agent.active()), 60)
    done = stops(lab, agent)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "stopped: jwks.status; no fault begins before `jwtdrill resume lab`\n"
    assert process.wait(30) == 1, log.read_text()
    said = log.read_text()
    assert "stopping: its lease is gone: somebody ended it with `jwtdrill stop`" in said
    assert "Traceback" not in said
    [drill] = json.loads((out / "journal.json").read_text())["drills"]
    assert drill["outcome"] == "violated"

    refused = lab.run(*argv[:-1], tmp_path / "other", short(tmp_path, "jwks_outage", 4, 60, 5))
    assert refused.returncode == 2
    assert "no fault may begin" in refused.stderr or "allow faults again with `jwtdrill resume`" in refused.stderr
    assert not (tmp_path / "other").exists()
    again = stops(lab, agent)
    assert again.stderr == "stopped: nothing was in force; no fault begins before `jwtdrill resume lab`\n"
    resumed = lab.run("jwtdrill", "resume")
    assert (resumed.returncode, resumed.stderr) == (0, "resumed: faults may begin again\n")
    agent.begin("jwks.status", {}, lease=5).end()

    lines = journal(lab)[before:]
    assert [a for a in actions(lines) if "drill.claim" not in a] == [
        "drill begins",
        "begin jwks.status",
        "stop",
        "end jwks.status",
        "drill stops itself",
        "drill ends",
        "stop",
        "resume",
        "begin jwks.status",
        "end jwks.status",
    ]
    assert all(set(line) >= {"time", "actor", "target"} for line in lines)
    assert len({line["target"] for line in lines}) == 1
    pids = {line["action"]: line["actor"].rpartition(" ")[2] for line in lines if "drill" in line["action"]}
    assert pids["drill begins"] == str(process.pid)
    stop = next(line for line in lines if line["action"] == "stop")
    ended = next(line for line in lines if line["action"] == "end" and line["fault"] == "jwks.status")
    assert (ended["why"], ended["actor"]) == ("stopped", stop["actor"])
    assert stop["actor"].rpartition(" ")[2] not in (str(process.pid), str(os.getpid()))


def test_stop_ends_chaos_run_with_a_line_and_the_next_one_is_refused(
    lab: Commands, agent: FaultClient, tmp_path: Path
) -> None:
    path = tmp_path / "journal.json"
    process, log = start(lab, tmp_path, 30, "chaos", "--no-version-check", "run", "--journal-path", path)
    until(lambda: bool(agent.active()), 60)
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 1
    assert agent.active() == []
    assert process.wait(30) == 1, log.read_text()
    assert "somebody ended it with `jwtdrill stop`" in log.read_text()
    assert json.loads(path.read_text())["jwtdrill"]["outcome"] == "violated"
    refused = chaos_run(lab, short(tmp_path, "jwks_outage", 4, 60, 5), tmp_path / "second.json")
    assert refused.returncode == 1
    assert "no fault may begin before `jwtdrill resume`" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_stop_outlives_a_killed_agent(lab: Commands, agent: FaultClient) -> None:
    held = agent.begin("jwks.latency", {"seconds": 1}, lease=30)
    assert lab.run("jwtdrill", "stop").returncode == 0
    process = process_of(lab.folder / "pids/fault-agent.pid")
    assert process is not None
    process.kill()

    def answers() -> bool:
        try:
            return bool(agent.stopped())
        except MissingPartError:
            return False

    time.sleep(0.2)
    until(answers, 10)
    held.end()
    with pytest.raises(BadInputError, match="no fault may begin before `jwtdrill resume`"):
        agent.begin("jwks.status", {}, lease=5)
    assert lab.run("jwtdrill", "resume").returncode == 0
    agent.begin("jwks.status", {}, lease=5).end()


def test_a_lease_that_runs_out_is_in_the_journal(lab: Commands, agent: FaultClient) -> None:
    before = len(journal(lab))
    controller = "import sys; from jwtdrill.faults.client import FaultClient as F; from jwtdrill.target.load import"
    controller += " load_target as t; F.of(t(sys.argv[1])).begin('jwks.status', {}, 1); sys.exit()"
    subprocess.run([sys.executable, "-c", controller, lab.target], env=lab.env, check=True)
    until(lambda: "end jwks.status" in actions(journal(lab)[before:]), 10)
    begin, end = journal(lab)[before:]
    assert (begin["action"], begin["params"], begin["lease"]) == ("begin", {}, 1)
    assert (end["why"], end["actor"], end["id"]) == ("its lease ran out", "fault agent", begin["id"])
    assert lab.journal.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_without_a_lab_or_an_agent_it_is_one_line(lab: Commands, tmp_path: Path, command: str) -> None:
    none = Commands(tmp_path / "none").run("jwtdrill", command)
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "jwtdrill: target lab: no lab is running: start one with `jwtdrill lab up`\n"
    text = lab.target.read_text()
    for name, changed, message in (
        ("agentless", re.sub(r'\nproxy = ".*"', "", text), "no fault agent: set proxy and key under [break]"),
        ("dead", re.sub(r'\nproxy = ".*"', '\nproxy = "http://127.0.0.1:1"', text), "does not answer (ConnectError)"),
    ):
        path = lab.folder / f"{name}.toml"
        path.write_text(changed)
        done = lab.run("jwtdrill", command, path)
        path.unlink()
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr
