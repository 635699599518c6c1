"""Every detection alert fires at the minute that is expected, just does not, and resolves: in promtool, unscaled."""

from pathlib import Path
from typing import Any

import pytest
from tests.observe.promtool import STEP, firing, run
from tests.observe.scenes import SCENES

from jwtdrill.catalog.alerts import DETECTION_ALERTS
from jwtdrill.catalog.objectives import objectives
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale

ALERTS = {alert.name: alert for alert in (*DETECTION_ALERTS, *WATCHING_ALERTS)}
VERIFICATION = tuple(o for o in objectives() if o.id == "verification")
JUST_NOT_AT = (-STEP, 0, STEP, 60, 120, 300, 900, 1800)  # seconds after it would fire
JUST_NOT = [(name, why) for name, scene in SCENES.items() for why in scene.just_not]


def rules_with(alert: str, *, unrecorded: bool = False) -> dict[str, Any]:
    """That alert, and what is recorded for it."""
    groups = rule_file(VERIFICATION, TimeScale())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    wanted = {rule["expr"] for rule in rules if rule.get("alert") == alert}
    while more := {r["expr"] for r in rules if any(r.get("record", "none") in expr for expr in wanted)} - wanted:
        wanted |= more
    for group in groups:
        group["rules"] = [
            rule
            for rule in group["rules"]
            if rule["expr"] in wanted and rule.get("alert", alert) == alert and not (unrecorded and "record" in rule)
        ]
    return {"groups": [group for group in groups if group["rules"]]}


def alert_of(scene: str) -> str:
    """The name without what tells several scenes of one alert apart."""
    return scene.partition(" ")[0]


def test_every_detection_alert_has_its_scenes() -> None:
    assert {alert_of(name) for name in SCENES} == ALERTS.keys()
    for name, scene in SCENES.items():
        assert scene.just_not, name


def marked(*values: str) -> Any:
    """The scene's parameters, as a slow test where it runs over days."""
    return pytest.param(*values, id=": ".join(values), marks=[pytest.mark.slow] if SCENES[values[0]].slow else [])


@pytest.mark.parametrize("name", [marked(name) for name in SCENES])
def test_it_fires_at_the_minute_and_resolves(name: str, tmp_path: Path) -> None:
    alert, scene = ALERTS[alert_of(name)], SCENES[name]
    labels = {"alertname": alert.name, "severity": alert.severity, "route": alert.route, **scene.labels}
    # Groups are evaluated in no order: what is watched may be seen a step later than it is recorded.
    slack = STEP if alert in WATCHING_ALERTS else 0
    at, gone = scene.begin + scene.at, scene.begin + scene.at + scene.gone
    times = (scene.begin - STEP, at - STEP - slack, gone + slack, scene.end)
    quiet = [firing(time, 0, alertname=alert.name) for time in times if time >= 0]
    loud = [firing(time, 1, **labels) for time in (at + slack, gone - STEP - slack)]
    assert not run(rules_with(alert.name, unrecorded=scene.unrecorded), tmp_path, scene.series, [*quiet, *loud])
    assert alert.hold.total_seconds() <= scene.at
    assert not scene.worst or scene.at <= alert.soonest.total_seconds() + 2 * STEP


@pytest.mark.parametrize(("name", "why"), [marked(name, why) for name, why in JUST_NOT])
def test_it_just_does_not_fire(name: str, why: str, tmp_path: Path) -> None:
    scene, alert = SCENES[name], alert_of(name)
    times = [scene.begin + scene.at + after for after in JUST_NOT_AT]
    never = [firing(time, 0, alertname=alert) for time in times]
    assert not run(rules_with(alert), tmp_path, scene.just_not[why], never)
