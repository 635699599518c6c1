"""What lies in alerts/ and dashboards/ is what a fresh build gives, and Prometheus and Alertmanager take it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import promql_parser
import pytest
import yaml

from jwtdrill.catalog.alerting import BurnAlert
from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.alerts import ALERTS as CATALOGUE
from jwtdrill.catalog.listing import listing, to_markdown
from jwtdrill.catalog.metrics import METRICS, Kind
from jwtdrill.catalog.objectives import objectives
from jwtdrill.errors import BadInputError
from jwtdrill.observe.files import build_alerts, build_dashboards, check_pages, stale, write
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
    assert (ROOT / "docs/catalog.md").read_text() == to_markdown(listing())


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("jwtdrill.rules.yml", "> 14.4", "> 14.5"),
        ("jwtdrill.rules.yml", "[6h]", "[5h]"),
        ("jwtdrill.rules.yml", "severity: page", "severity: ticket"),
        ("alertmanager.yml", "receiver: security-page", "receiver: platform-page"),
        ("prometheusrule.yml", "severity: page", "severity: ticket"),
    ],
)
def test_an_edit_by_hand_is_noticed(tmp_path: Path, name: str, old: str, new: str) -> None:
    write({tmp_path: ALERTS})
    assert not stale(tmp_path, ALERTS)
    path = tmp_path / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    assert stale(tmp_path, ALERTS) == [path]


@pytest.mark.parametrize("scale", [1, 60, 7.5])
def test_promtool_and_amtool_accept_every_build(tmp_path: Path, scale: float) -> None:
    write({tmp_path: build_alerts(objectives(), TimeScale(scale))})
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


def test_the_operators_object_holds_the_same_groups() -> None:
    made = yaml.safe_load(ALERTS["prometheusrule.yml"])
    assert (made["apiVersion"], made["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert made["spec"] == RULES


def test_either_all_files_are_written_or_none(tmp_path: Path) -> None:
    """The last one cannot be: what was written before it is as it was, and nothing is left over."""
    one, other = tmp_path / "alerts", tmp_path / "dashboards"
    write({one: {"a": "old", "b": "old"}})
    (other / "c").mkdir(parents=True)
    (other / "c" / "in the way").touch()
    with pytest.raises(BadInputError, match=r"c: cannot be written.*; nothing was"):
        write({one: {"a": "new", "b": "new", "new": "new"}, other: {"c": "new"}})
    assert {path.name: path.read_text() for path in one.iterdir()} == {"a": "old", "b": "old"}
    assert [path.name for path in other.iterdir()] == ["c"]


def test_a_page_without_alert_and_an_alert_without_page_are_refused(tmp_path: Path) -> None:
    for name in ALERT_NAMES[1:]:
        (tmp_path / f"{name}.md").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "JwtRenamed.md").touch()
    with pytest.raises(BadInputError) as raised:
        check_pages(tmp_path, objectives())
    assert f"{tmp_path}/JwtRenamed.md:1: no alert is called JwtRenamed: name the page after its alert" in str(
        raised.value
    )
    assert f"{tmp_path}/{ALERT_NAMES[0]}.md: is missing" in str(raised.value)
    check_pages(ROOT / "docs/runbooks", objectives())


def test_every_alert_of_the_catalogue_has_a_rule_with_all_its_parts() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
    assert {rule["alert"] for rule in rules} == set(ALERT_NAMES)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["labels"]["route"] in ("security", "platform", "service")
        assert rule["annotations"]["runbook_url"] == f"https://runbooks.example/jwtdrill/{rule['alert']}.md"


def test_every_summary_says_who_is_hurt_where_since_when_and_what_to_type_first() -> None:
    known = {alert.name: alert for alert in CATALOGUE}
    for rule in (rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule):
        alert, summary = known[rule["alert"]], rule["annotations"]["summary"]
        assert alert.hurt[1:] in summary
        assert summary.endswith(f". First: {alert.first}")
        assert "ALERTS_FOR_STATE" in summary
        assert f'alertname="{alert.name}"' in summary
        for label in alert.by:
            assert f"{{{{ $labels.{label} }}}}" in summary, (alert.name, label)
        assert rule["labels"]["route"] == alert.route
        if not isinstance(alert, BurnAlert):
            assert rule["labels"]["severity"] == alert.severity


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
        data = json.loads(text)
        for panel in data["panels"]:
            found += [(name, panel["title"], target["expr"]) for target in panel.get("targets", ())]
        found += [(name, layer["name"], layer["expr"]) for layer in data["annotations"]["list"] if "expr" in layer]
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


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_dashboard_shows_faults_in_force_and_what_drills_tell_grafana(name: str) -> None:
    [_, faults, drills] = json.loads(DASHBOARDS[name])["annotations"]["list"]
    assert faults["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert 'jwtdrill_fault_active{environment=~"$environment"}' in faults["expr"]
    assert "{{fault}}" in faults["titleFormat"]
    assert drills["datasource"] == {"type": "grafana", "uid": "-- Grafana --"}
    assert drills["target"]["tags"] == ["jwtdrill"]
    assert faults["enable"] is drills["enable"] is True


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
    found = set(re.findall(r"\bjwt[a-z_:0-9]+(?=[{\[) ])", f"{expr} "))
    assert found or re.search(r"\b(up|ALERTS|prometheus_rule_\w+|scrape_\w+)\b", expr)
    assert found <= known_names()


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_every_runbook_has_its_parts(name: str) -> None:
    text = (ROOT / f"docs/runbooks/{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for part in ("Meaning", "Impact", "Diagnosis", "Mitigation", "Drill"):
        assert f"\n## {part}\n" in text
