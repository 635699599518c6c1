"""Whom an alert reaches, and what it silences: Alertmanager's configuration, asked with Alertmanager's own tool."""

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jwtdrill.catalog.alerts import DRILL_DECLARED
from jwtdrill.catalog.objectives import Severity, Window, objectives
from jwtdrill.observe.files import build_alerts
from jwtdrill.observe.routes import Receivers, alertmanager_config
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.programs import require_program

VERIFICATION = next(o for o in objectives() if o.id == "verification")
CONFIG = alertmanager_config(objectives(), TimeScale(), Receivers())
RULES = [rule for group in rule_file(objectives(), TimeScale())["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("routes") / "alertmanager.yml"
    path.write_text(build_alerts(objectives(), TimeScale())["alertmanager.yml"])
    return path


def receiver_of(config: Path, labels: dict[str, str]) -> str:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = subprocess.run(
        [require_program("amtool"), "config", "routes", "test", f"--config.file={config}", *pairs],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['alert']} {rule['labels'].get('tier', '')}".strip())
def test_every_alert_reaches_the_team_of_its_route_by_its_severity(rule: dict[str, Any], config: Path) -> None:
    labels = {"alertname": rule["alert"], "environment": "staging", "issuer": "https://i", **rule["labels"]}
    assert receiver_of(config, labels) == f"{rule['labels']['route']}-{rule['labels']['severity']}"


def test_an_alert_without_route_is_not_lost_and_a_declaration_reaches_nobody(config: Path) -> None:
    assert receiver_of(config, {"alertname": "Other"}) == "platform-ticket"
    assert receiver_of(config, {"alertname": DRILL_DECLARED, "route": "security", "severity": "page"}) == "nobody"


def test_alerts_are_grouped_by_issuer_and_environment_and_pages_are_repeated_sooner() -> None:
    assert CONFIG["route"]["group_by"] == ["environment", "issuer"]
    repeats = {route["receiver"]: route.get("repeat_interval") for route in CONFIG["route"]["routes"]}
    assert repeats["security-page"] == "1h"
    assert repeats["security-ticket"] == "1d"


def test_every_receiver_has_its_own_place_and_reads_its_secret_from_a_file() -> None:
    by_name = {receiver["name"]: receiver for receiver in CONFIG["receivers"]}
    assert "webhook_configs" not in by_name.pop("nobody")
    for name, receiver in by_name.items():
        [webhook] = receiver["webhook_configs"]
        assert webhook["url"].endswith(f"/{name}")
        assert webhook["http_config"]["authorization"] == {"credentials_file": f"/etc/alertmanager/secrets/{name}"}


def tiers_silenced(config: dict[str, Any], alert: str) -> dict[str, str]:
    return {
        rule["source_matchers"][1]: rule["target_matchers"][1]
        for rule in config["inhibit_rules"]
        if "tier=" in rule["source_matchers"][1] and alert in rule["source_matchers"][0]
    }


def test_each_faster_tier_inhibits_every_slower_one() -> None:
    assert tiers_silenced(CONFIG, "JwtVerificationBudgetBurn") == {
        'tier="14.4x"': 'tier=~"6x|3x-critical|3x|1x"',
        'tier="6x"': 'tier=~"3x-critical|3x|1x"',
        'tier="3x-critical"': 'tier=~"3x|1x"',
        'tier="3x"': 'tier="1x"',
    }


def test_a_tier_of_the_users_own_takes_its_place_by_its_factor() -> None:
    own = Window("nightly", 10, timedelta(hours=2), timedelta(minutes=10), Severity.PAGE)
    changed = replace(VERIFICATION, window=(own,), by=("audience",))
    config = alertmanager_config([changed], TimeScale(), None)
    assert tiers_silenced(config, "JwtVerificationBudgetBurn")['tier="14.4x"'].startswith('tier=~"nightly|6x|')
    assert config["inhibit_rules"][0]["equal"] == ["alertname", "environment", "issuer", "audience"]
