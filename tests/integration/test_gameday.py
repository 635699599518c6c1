"""Drills as users run them: by `chaos run` and by `jwtdrill gameday`, and what stays when they are killed: nothing."""

import copy
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.drill.shortened import shortened
from tests.drill.test_grafana import Grafana
from tests.integration.conftest import BIN, Commands, processes_naming, status_at, until

from jwtdrill.drill.experiment import find_experiment
from jwtdrill.faults.client import FaultClient
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.load import load_target

pytestmark = pytest.mark.integration
LEASE = 3


def short(tmp_path: Path, name: str, control: float, fault: float, recovery: float, **expect: Any) -> Path:
    return shortened(tmp_path, name, control, fault, recovery, lease=LEASE, **expect)


def without_fault(path: Path) -> Path:
    content = yaml.safe_load(path.read_text())
    spared = copy.deepcopy(content)
    spared["method"] = [a for a in content["method"] if a["provider"]["func"] != "begin_fault"]
    assert len(spared["method"]) == len(content["method"]) - 1
    path.write_text(yaml.safe_dump(spared, sort_keys=False))
    return path


def chaos_run(lab: Commands, path: Path, journal: Path, target: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "chaos", "--no-version-check", "--no-log-file", "run", "--journal-path", journal, path],
        capture_output=True,
        text=True,
        check=False,
        env=lab.env | {"JWTDRILL_TARGET": str(target or lab.target)},
        timeout=180,
    )


PAGE = [{"name": "JwtVerificationBudgetBurn", "severity": "page"}]


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    server = Grafana()
    yield server
    server.close()


def test_chaos_run_holds_on_a_standing_lab_with_its_real_page_and_tells_grafana(
    lab: Commands, tmp_path: Path, grafana: Grafana
) -> None:
    path = short(tmp_path, "clock_skew", 10, 12, 8, alerts=PAGE)
    target = lab.folder / "annotated.toml"
    target.write_text(lab.target.read_text().replace("[watch]", f'[watch]\ngrafana = "{grafana.url}"'))
    done = chaos_run(lab, path, tmp_path / "journal.json", target)
    target.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    told = {tuple(body["tags"][1:3]): (body["timeEnd"] - body["time"]) / 1000 for _, _, body in grafana.asked}
    assert list(told) == [("phase", "control"), ("phase", "fault"), ("fault", "clock.skew"), ("phase", "recovery")]
    assert 10 <= told["fault", "clock.skew"] < 15  # it ends when all has been seen
    result = json.loads((tmp_path / "journal.json").read_text())["jwtdrill"]
    assert result["outcome"] == "held"
    assert result["false_rejects"] > 0
    assert [action["what"].split()[0] for action in result["actions"]] == ["load:", "load"]
    assert any(a["name"] == "JwtVerificationBudgetBurn" and a["severity"] == "page" for a in result["alerts"])


@pytest.mark.slow
def test_with_the_fault_taken_out_the_same_drill_fails(lab: Commands, tmp_path: Path) -> None:
    path = without_fault(short(tmp_path, "jwks_outage", 8, 8, 5))
    done = chaos_run(lab, path, tmp_path / "journal.json")
    assert done.returncode == 1, done.stdout + done.stderr
    result = json.loads((tmp_path / "journal.json").read_text())["jwtdrill"]
    assert result["outcome"] == "violated"
    unmet = {finding["what"].split()[0] for finding in result["findings"] if finding["met"] is False}
    assert {"A", "JwtJwksFetchFailing", "JwtVerificationBudgetBurn"} <= unmet


@pytest.mark.slow
def test_a_target_that_does_not_recover_is_violated_and_has_its_report(lab: Commands, tmp_path: Path) -> None:
    """The fault stays on past the end of the method, and the closing look finds it."""
    path = short(tmp_path, "jwks_outage", 5, 17, 4)
    content = yaml.safe_load(path.read_text())
    content["method"] = [a for a in content["method"] if a["provider"]["func"] != "end_faults"]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    out = tmp_path / "out"
    done = lab.run("jwtdrill", "gameday", path, "--target", lab.target, "--yes", "--without-alerts", "--out", out)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "interrupted" not in done.stderr
    [drill] = json.loads((out / "journal.json").read_text())["drills"]
    assert drill["outcome"] == "violated"
    assert "The steady state is back" in {finding["what"] for finding in drill["findings"] if not finding["met"]}
    assert (out / "report.html").exists()


def test_chaos_run_without_a_lab_says_so_and_nothing_else(lab: Commands, tmp_path: Path) -> None:
    done = chaos_run(Commands(tmp_path / "none"), find_experiment("jwks_outage"), tmp_path / "journal.json")
    assert done.returncode == 1
    assert "/none/target.toml: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "lacks the control" not in done.stderr + done.stdout


@pytest.fixture
def agent(lab: Commands) -> Iterator[FaultClient]:
    client = FaultClient.of(load_target(str(lab.target)))
    yield client
    client.close()


@pytest.fixture
def own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a game day's temporary files lie, and nobody else's."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def start_gameday(lab: Commands, tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    path = short(tmp_path, "rotation_without_overlap", 4, 60, 5)
    return lab.start("jwtdrill", "gameday", path, "--out", tmp_path / "out", "--without-alerts", *more, piped=False)


def test_kill_9_in_mid_fault_leaves_a_standing_lab_healthy_within_a_lease(
    lab: Commands, agent: FaultClient, tmp_path: Path, own_tmp: Path
) -> None:
    target = load_target(str(lab.target))
    old = genuine_token(target)
    process = start_gameday(lab, tmp_path, "--target", str(lab.target), "--yes")
    until(lambda: bool(agent.active()), 60)
    until(lambda: status_at(target, "verifier-a", old) == 401, 10)
    time.sleep(LEASE)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert until(lambda: not agent.active(), 10) <= LEASE + 1
    until(
        lambda: (
            status_at(target, "verifier-a", old) in (200, 401)
            and status_at(target, "verifier-a", genuine_token(target)) == 200
        ),
        5,
    )
    assert not psutil.wait_procs(family, timeout=5)[1]
    until(lambda: not list(own_tmp.iterdir()), 5)
    assert not (tmp_path / "out").exists()
    until(lambda: not agent.leases(), 12)  # its claim, for the next drill


def test_kill_9_takes_the_game_days_own_lab_with_it(lab: Commands, tmp_path: Path) -> None:
    before = set(Path("/tmp").glob("jwtdrill-gameday-*"))
    process = start_gameday(lab, tmp_path)
    until(lambda: "in force" in folder_logs(before), 90)
    [folder] = set(Path("/tmp").glob("jwtdrill-gameday-*")) - before
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 6
    process.kill()
    process.wait()
    assert not psutil.wait_procs(family, timeout=10)[1]
    until(lambda: not folder.exists(), 10)
    assert not processes_naming(str(folder))


def folder_logs(before: set[Path]) -> str:
    logs = [
        log for f in set(Path("/tmp").glob("jwtdrill-gameday-*")) - before for log in f.glob("logs/fault-agent.log")
    ]
    return "".join(log.read_text() for log in logs if log.exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_game_day_ends_its_fault_and_leaves_nothing(
    lab: Commands, agent: FaultClient, tmp_path: Path, own_tmp: Path, number: signal.Signals
) -> None:
    process = start_gameday(lab, tmp_path, "--target", str(lab.target), "--yes")
    until(lambda: bool(agent.active()), 60)
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    until(lambda: not agent.active(), 10)
    assert process.wait(30) == 130
    assert not psutil.wait_procs(family, timeout=5)[1]
    until(lambda: not list(own_tmp.iterdir()), 5)
    assert not (tmp_path / "out").exists()
    until(lambda: not agent.leases(), 12)  # its claim, for the next drill


@pytest.mark.slow
def test_without_alerts_they_are_not_judged_and_the_report_says_so(lab: Commands, tmp_path: Path) -> None:
    path = short(tmp_path, "rotation_without_overlap", 5, 10, 12, recovery_within=12)
    out = tmp_path / "out"
    done = lab.run("jwtdrill", "gameday", path, "--without-alerts", "--target", lab.target, "--yes", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((out / "journal.json").read_text())
    assert content["outcome"] == "held"
    [drill] = content["drills"]
    assert drill["alerts"] is None
    assert [f["what"] for f in drill["findings"] if f["met"] is None]
    assert drill["derived"]["propagation"]
    html = (out / "report.html").read_text()
    assert "not judged" in html
    assert "<svg" in html
    assert {path.name for path in out.iterdir()} == {
        "report.html", "report.md", "journal.json", "rotation_without_overlap.seconds.csv",
    }  # fmt: skip
    assert not [path.name for path in out.iterdir() if "eyJ" in path.read_text()]  # no token


def misspelt(path: Path) -> None:
    path.write_text(path.read_text().replace("jwks.status", "jwks.statsu"))


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (misspelt, [], "unknown fault 'jwks.statsu': choose from"),
        (None, ["--out", "/proc/none"], "cannot be made there"),
        (None, ["--out", "."], "exists already"),
        (None, ["--runbooks", "wiki"], "--runbooks: must be an http or https URL"),
        (None, ["--target", "/none.toml"], "/none.toml: cannot be read"),
        (None, ["--target", "{staging}"], "not confirmed: nothing was touched"),
        (None, ["--target", "{dead}", "--yes"], "nobody listens at"),
        (None, ["--target", "{garbled}", "--yes"], "that is no JSON object"),
        (None, ["--target", "{unwatched}", "--yes"], "Alertmanager at http://127.0.0.1:1"),
        (Path.unlink, [], "cannot be read: No such file"),
    ],
)
def test_bad_input_is_one_line_before_anything_starts(
    lab: Commands, tmp_path: Path, spoil: Callable[[Path], None] | None, arguments: list[str], message: str
) -> None:
    path = short(tmp_path, "jwks_outage", 5, 5, 5)
    if spoil is not None:
        spoil(path)
    text = lab.target.read_text()
    issuer = load_target(str(lab.target)).issuer.url
    places = {"lab": lab.target} | {
        name: lab.folder / f"{name}.toml" for name in ("dead", "garbled", "unwatched", "staging")
    }
    places["staging"].write_text(text.replace('environment = "lab"', 'environment = "staging"'))
    places["dead"].write_text(text.replace(f'url = "{issuer}"', 'url = "http://127.0.0.1:1"'))
    places["garbled"].write_text(
        text.replace(
            f'url = "{issuer}"', f'url = "{issuer}"\ntoken_endpoint = "{issuer}/token"\njwks_uri = "{issuer}/metrics"'
        )
    )
    places["unwatched"].write_text(re.sub(r'alertmanager = ".*"', 'alertmanager = "http://127.0.0.1:1"', text))
    given = [argument.format(**places) for argument in arguments]
    done = lab.run("jwtdrill", "gameday", path, *given)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert not processes_naming("jwtdrill-gameday-")


def test_a_drill_that_the_lab_cannot_hold_is_told_before_another_one_begins(lab: Commands, tmp_path: Path) -> None:
    first = short(tmp_path, "jwks_outage", 5, 5, 5)
    second = tmp_path / "second.yaml"
    second.write_text(first.read_text().replace("jwks.status", "discovery.status"))
    done = lab.run("jwtdrill", "gameday", first, second, "--without-alerts", "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "second: the fault agent refused: nothing is proxied as 'discovery'" in done.stderr.splitlines()[-1]
    assert "in force" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_prometheus_it_says_what_to_install(lab: Commands, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "jwtdrill", "gameday", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env=lab.env | {"PATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "apt-get install --no-install-recommends prometheus prometheus-alertmanager" in done.stderr


def test_a_fault_that_the_target_does_not_allow_is_not_injected(
    lab: Commands, agent: FaultClient, tmp_path: Path
) -> None:
    target = lab.folder / "careful.toml"
    target.write_text(lab.target.read_text().replace('faults = ["*"]', 'faults = ["clock.*"]'))
    path = short(tmp_path, "jwks_outage", 3, 3, 3)
    done = lab.run(
        "jwtdrill", "gameday", path, "--target", target, "--yes", "--without-alerts", "--out", tmp_path / "out"
    )
    target.unlink()
    assert (done.returncode, done.stdout) == (2, "")
    assert "fault jwks.status is not among what [break] allows" in done.stderr
    assert not agent.active()
