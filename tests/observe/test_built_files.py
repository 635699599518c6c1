"""What lies in alerts/ and dashboards/ is what a fresh build gives, and Prometheus and Alertmanager take it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.metrics import METRICS, Kind
from jwtdrill.catalog.objectives import objectives
from jwtdrill.observe.files import build_alerts, build_dashboards, stale, write
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.programs import require_program

ROOT = Path(__file__).parents[2]
ALERTS = build_alerts(objectives(), TimeScale())
DASHBOARDS = build_dashboards(ROOT / "dashboards")
RULES = yaml.safe_load(ALERTS["jwtdrill.rules.yml"])


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require_program(program), *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_committed_files_are_fresh() -> None:
    assert not stale(ROOT / "alerts", ALERTS)
    assert not stale(ROOT / "dashboards", DASHBOARDS)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("jwtdrill.rules.yml", "> 14.4", "> 14.5"),
        ("jwtdrill.rules.yml", "[6h]", "[5h]"),
        ("jwtdrill.rules.yml", "severity: page", "severity: ticket"),
        ("alertmanager.yml", "receiver: security", "receiver: platform"),
    ],
)
def test_an_edit_by_hand_is_noticed(tmp_path: Path, name: str, old: str, new: str) -> None:
    write(tmp_path, ALERTS)
    assert not stale(tmp_path, ALERTS)
    path = tmp_path / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert stale(tmp_path, ALERTS) == [path]


@pytest.mark.parametrize("scale", [1, 60, 7.5])
def test_promtool_and_amtool_accept_every_build(tmp_path: Path, scale: float) -> None:
    write(tmp_path, build_alerts(objectives(), TimeScale(scale)))
    checked = run("promtool", "check", "rules", "--lint-fatal", tmp_path / "jwtdrill.rules.yml")
    assert checked.returncode == 0, checked.stderr
    checked = run("amtool", "check-config", tmp_path / "alertmanager.yml")
    assert checked.returncode == 0, checked.stderr


def test_the_rules_do_what_they_say_at_real_windows() -> None:
    tests = sorted((ROOT / "alerts/tests").glob("*.test.yml"))
    assert tests
    done = run("promtool", "test", "rules", *tests)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 14.4", "> 144"),
        (" >= 5\n", " >= 5e9\n"),
        ("group_left () jwtdrill:canary_failing:ratio", "group_left () (jwtdrill:canary_failing:ratio * 0 + 1)"),
        ("offset 15s", "offset 1h"),
    ],
)
def test_the_rule_tests_notice_a_broken_rule(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "tests").mkdir()
    assert old in ALERTS["jwtdrill.rules.yml"]
    (tmp_path / "jwtdrill.rules.yml").write_text(ALERTS["jwtdrill.rules.yml"].replace(old, new))
    path = tmp_path / "tests/verification.test.yml"
    path.write_text((ROOT / "alerts/tests/verification.test.yml").read_text())
    assert run("promtool", "test", "rules", path).returncode != 0


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["route=security", "severity=page"], "security"),
        (["route=platform", "severity=ticket"], "platform"),
        (["route=service", "severity=page"], "service"),
        (["severity=page"], "platform"),
    ],
)
def test_alerts_reach_the_team_of_their_route(labels: list[str], receiver: str) -> None:
    done = run("amtool", "config", "routes", "test", f"--config.file={ROOT / 'alerts/alertmanager.yml'}", *labels)
    assert done.stdout.strip() == receiver


def test_every_alert_of_the_catalogue_has_a_rule_with_all_its_parts() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"] for rule in rules} == set(ALERT_NAMES)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["labels"]["route"] in ("security", "platform", "service")
        assert rule["annotations"]["runbook_url"].endswith(f"/{rule['alert']}.md")
        assert "{{ $labels.issuer }}" in rule["annotations"]["summary"]


def names_in(promql: str) -> set[str]:
    return set(re.findall(r"\b(jwt(?:drill)?_[a-z_]+|jwtdrill:[a-z_]+:[a-z0-9]+)\b(?=\{|\[|\))", promql))


def known_names() -> set[str]:
    names = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
    for metric in METRICS:
        suffixes = ("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",)
        names |= {metric.name + suffix for suffix in suffixes}
    return names


def queries() -> list[tuple[str, str, str]]:
    found = []
    for name, text in DASHBOARDS.items():
        for panel in json.loads(text)["panels"]:
            found += [(name, panel["title"], target["expr"]) for target in panel.get("targets", ())]
    return found


def plain(expr: str) -> str:
    return re.sub(r"\$__(rate_interval|interval|range)", "5m", expr)


@pytest.mark.parametrize(("dashboard", "title", "expr"), queries())
def test_every_panels_query_parses_and_names_what_exists(dashboard: str, title: str, expr: str) -> None:
    promql_parser.parse(plain(expr))
    names = names_in(plain(expr))
    assert names
    assert names <= known_names()


def test_every_rules_names_exist() -> None:
    for group in RULES["groups"]:
        for rule in group["rules"]:
            promql_parser.parse(rule["expr"])
            assert names_in(rule["expr"]) <= known_names(), rule


def walk(value: object) -> list[object]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for one in inner for found in walk(one))]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_have_none_of_grafanalibs_old_defaults(name: str) -> None:
    data = json.loads(DASHBOARDS[name])
    assert data["schemaVersion"] >= 39
    assert data["editable"] is False
    assert data["uid"] == f"jwtdrill-{name.removesuffix('.json')}"
    assert "null" not in walk(data)
    ids = [panel["id"] for panel in data["panels"]]
    assert len(set(ids)) == len(ids)
    for variable in data["templating"]["list"]:
        assert variable["type"] == "datasource" or variable["refresh"] == 2
    for panel in data["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel.get("maxDataPoints") != 100
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["instant"] is not target["range"]
            assert "exemplar" in target


def test_the_stock_generate_dashboard_writes_the_same_bytes(tmp_path: Path) -> None:
    out = tmp_path / "oncall.json"
    program = Path(sys.executable).with_name("generate-dashboard")
    done = subprocess.run(
        [program, "-o", out, ROOT / "dashboards/oncall.dashboard.py"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert out.read_text() == DASHBOARDS["oncall.json"]


def runbook_queries() -> list[tuple[str, str]]:
    pages = sorted((ROOT / "docs/runbooks").glob("*.md"))
    return [(p.stem, q.strip()) for p in pages for q in re.findall(r"```promql\n(.*?)```", p.read_text(), re.DOTALL)]


@pytest.mark.parametrize(("page", "expr"), runbook_queries())
def test_every_runbooks_query_parses_and_names_what_exists(page: str, expr: str) -> None:
    promql_parser.parse(expr)
    found = set(re.findall(r"\bjwt[a-z_:0-9]+", expr))
    assert found
    assert found <= known_names()


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_every_runbook_has_its_parts(name: str) -> None:
    text = (ROOT / f"docs/runbooks/{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for part in ("Meaning", "Impact", "Diagnosis", "Mitigation", "Drill"):
        assert f"\n## {part}\n" in text
