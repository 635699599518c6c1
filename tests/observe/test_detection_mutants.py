"""Every number, window and `for` of every detection alert is held by a scene: with any of them changed, one fails."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.observe.promtool import STEP, firing, run
from tests.observe.scenes import SCENES
from tests.observe.test_detection import ALERTS, JUST_NOT_AT, alert_of, rules_with

from jwtdrill.catalog.alerting import DetectionAlert
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS
from jwtdrill.observe.timing import TimeScale

_NUMBER = re.compile(r"(?<![\w.:\[\"])\d+(?:\.\d+)?(?![\w.:\"])")


def mutants(alert: DetectionAlert) -> Iterator[tuple[str, DetectionAlert]]:
    """Each with one number, window or `for` changed by half, and what was changed."""
    expr = alert.expr
    for found in _NUMBER.finditer(expr):
        if found[0] in ("288", "0"):  # points of a day, of which scenes of hours hold few; no threshold
            continue
        for factor in (0.6, 1.5) if found[0] != "1" else (1.5,):  # there is no half event
            changed = f"{expr[: found.start()]}{float(found[0]) * factor:g}{expr[found.end() :]}"
            yield f"{found[0]} at {found.start()} by {factor}", replace(alert, expr=changed)
    for length in set(re.findall(r"(?<=[\[(])(\d+[smhd])(?=[\])])", expr)):
        seconds = int(length[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[length[-1]]
        for factor in (0.5, 2):
            changed = re.sub(rf"(?<=[\[(]){length}(?=[\])])", f"{seconds * factor:.0f}s", expr)
            yield f"{length} by {factor}", replace(alert, expr=changed)
    for hold in (alert.hold * 0.5, alert.hold * 2) if alert.hold else (timedelta(minutes=1),):
        yield f"for {hold}", replace(alert, hold=hold)


def with_rule(rules: dict[str, Any], alert: DetectionAlert) -> dict[str, Any]:
    """The rules with that alert's condition and `for` in place of the catalogue's."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == alert.name:
                rule["expr"] = TimeScale().expression(alert.expr)
                rule["for"] = TimeScale().hold(alert.hold)
    return rules


def caught(alert: DetectionAlert, folder: Path) -> bool:
    """Whether some scene of the alert fails."""
    slack = STEP if alert.name in {watching.name for watching in WATCHING_ALERTS} else 0
    for name, scene in SCENES.items():
        if alert_of(name) != alert.name:
            continue
        rules = with_rule(rules_with(alert.name, unrecorded=scene.unrecorded), alert)
        at, gone = scene.begin + scene.at, scene.begin + scene.at + scene.gone
        checks = [
            *(firing(t, 0, alertname=alert.name) for t in (at - STEP - slack, gone + slack) if t >= 0),
            *(firing(t, 1, alertname=alert.name) for t in (at + slack, gone - STEP - slack)),
        ]
        if run(rules, folder, scene.series, checks):
            return True
        rules = with_rule(rules_with(alert.name), alert)
        never = [firing(at + after, 0, alertname=alert.name) for after in JUST_NOT_AT]
        if any(run(rules, folder, series, never) for series in scene.just_not.values()):
            return True
    return False


@pytest.mark.mutants
@pytest.mark.parametrize("name", ALERTS)
def test_a_changed_number_is_noticed(name: str, tmp_path: Path) -> None:
    survivors = [what for what, mutant in mutants(ALERTS[name]) if not caught(mutant, tmp_path)]
    assert not survivors
