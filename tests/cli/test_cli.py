"""The command line teaches, prints to the right stream, and gives exit codes that scripts can use."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jwtdrill", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("lab",),
        ("lab", "up"),
        ("lab", "down"),
        ("lab", "status"),
        ("canary",),
        ("gameday",),
        ("capacity",),
        ("compare",),
        ("catalog",),
        ("build",),
    ],
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_help_groups_the_commands_and_tells_the_exit_codes() -> None:
    out = run("--help").stdout
    for word in ("Load", "Break", "Watch", "Exit codes", "130 interrupted"):
        assert word in out


@pytest.mark.parametrize("arguments", [("nonsense",), ("build", "--nonsense"), ("lab", "up", "--profile", "x")])
def test_bad_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""


def test_catalog_prints_tables_and_json() -> None:
    assert "JwtVerificationBudgetBurn" in run("catalog").stdout
    content = json.loads(run("catalog", "--json").stdout)
    assert {"metrics", "reasons", "objectives", "alerts", "failure modes"} == set(content)


def test_build_writes_and_checks(tmp_path: Path) -> None:
    assert run("build", "--check").returncode == 0
    assert run("build", "--out", str(tmp_path), "--time-scale", "60").returncode == 0
    assert (tmp_path / "dashboards/oncall.json").exists()
    done = run("build", "--out", str(tmp_path), "--check")
    assert done.returncode == 1
    assert re.search(r"jwtdrill\.rules\.yml: is stale", done.stderr)
    assert run("build", "--out", str(tmp_path), "--time-scale", "60", "--check").returncode == 0


def test_build_with_wrong_objectives_writes_nothing(tmp_path: Path) -> None:
    objectives = tmp_path / "slo.toml"
    objectives.write_text('[[objective]]\nid = "x"\n')
    done = run("build", "--out", str(tmp_path / "out"), "--objectives", str(objectives))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{objectives}:1: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_runbooks_are_linked_from_one_setting(tmp_path: Path) -> None:
    run("build", "--out", str(tmp_path), "--runbooks", "https://wiki.example/jwt")
    text = (tmp_path / "alerts/jwtdrill.rules.yml").read_text()
    assert "runbook_url: https://wiki.example/jwt/JwtClockOffset.md" in text


@pytest.mark.parametrize(
    ("wrong", "line", "says"),
    [
        ('tiers = ["14.4x", "1x"]', 3, "can never burn fast enough for 14.4x: take 1x"),  # h
        ('window = [{name = "own", burn = 2, long = "1h", short = "5m", severity = "page"}]', 3, "enough for own"),
        ('window = [{name = "own", burn = 1, long = "5m", short = "1h", severity = "page"}]', 11, "short must be"),
        ('window = [{name = "own", burn = 1, long = "1 hour", short = "5m", severity = "page"}]', 11, "such as 5m"),
        ('by = ["reason"]', 11, "reason is no label to judge by"),
        ('filter = {audiance = "x"}', 11, "audiance is no label to judge by"),
    ],
)
def test_a_wrong_objective_is_refused_with_its_line_and_nothing_is_written(
    tmp_path: Path, wrong: str, line: int, says: str
) -> None:
    text = (
        '# mine\n\n[[objective]]\nid = "a"\nrequirement = "M3"\ntitle = "A"\n'
        'indicator = "verification_success"\nobjective = 0.5\nperiod_days = 30\nminimum_bad_events = 5\n'
    )
    objectives = tmp_path / "slo.toml"
    objectives.write_text(f"{text}{wrong}\n")
    done = run("build", "--out", str(tmp_path / "out"), "--objectives", str(objectives))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{objectives}:{line}: " in done.stderr
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_build_refuses_urls_and_pages_that_lead_nowhere(tmp_path: Path) -> None:
    for arguments, says in (
        (("--runbooks", "wiki"), "--runbooks: must be an http or https URL"),
        (("--receivers", "https://user:secret@x"), "--receivers: must be a URL without user and password"),
        (("--pages", str(tmp_path)), "JwtWatchingBlind.md: is missing, and the alert JwtWatchingBlind links to it"),
    ):
        done = run("build", "--out", str(tmp_path / "out"), *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert says in done.stderr
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", ["catalog", "catalog --json"])
def test_a_reader_that_leaves_is_no_failure(arguments: str) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m jwtdrill {arguments} | head -1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jwtdrill", "catalog", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "jwtdrill: output: No space left on device"


@pytest.mark.parametrize("scale", ["0", "inf", "nan", "1e9"])
def test_a_senseless_time_scale_is_exit_code_2(tmp_path: Path, scale: str) -> None:
    done = run("build", "--out", str(tmp_path), "--time-scale", scale)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
