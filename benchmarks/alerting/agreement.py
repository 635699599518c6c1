"""Whether numpy and promtool see the same: each tier's firing around every begin and end, and how long it fires."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerting import ours, workbook
from benchmarks.alerting.ours import Firing
from benchmarks.alerting.promtool import Question, ask, made_of, without_texts
from benchmarks.alerting.traffic import STEP, Series
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale

_NOWHERE_NEAR = 20  # further points, chosen at random
WORKBOOK_PAGES = tuple(tier for tier in workbook.TIERS if tier.severity is Severity.PAGE)  # rate over days is too slow


def disagreements(
    series: Sequence[Series],
    objective: Objective,
    folder: Path,
    *,
    tiers: Sequence[workbook.Tier] = WORKBOOK_PAGES,
    seed: int = 0,
) -> list[str]:
    """What promtool sees otherwise than numpy, of our rules and the workbook's."""
    alert = burn_alert(objective).name
    found = compared(alert, ours.firing(series, objective), our_rules(objective), series, folder, seed)
    plain = workbook.firing(series, objective, tiers)
    return found + compared(workbook.ALERT, plain, workbook.rules(objective, tiers), series, folder, seed)


def compared(
    alert: str, firing: Firing, rules: Mapping[str, Any], series: Sequence[Series], folder: Path, seed: int = 0
) -> list[str]:
    """What promtool sees otherwise than `firing` says, of these rules."""
    size = series[0].values.size
    questions, expected = [], []
    for tier, true in firing.items():
        only = f'ALERTS{{alertname="{alert}", tier="{tier}", alertstate="firing"}}'
        for step in _points(true, seed):
            questions.append(Question(f"count({only}) or vector(0)", step))
            expected.append(float(true[step]))
        questions.append(Question(f"sum(count_over_time({only}[{size * STEP}s])) or vector(0)", size - 1))
        expected.append(float(true.sum()))
    seen = ask(rules, series, questions, folder)
    return [
        f"{question.expr} at {question.step * STEP} s: {got} in promtool, {want} in numpy"
        for question, got, want in zip(questions, seen, expected, strict=True)
        if got != want
    ]


def our_rules(objective: Objective) -> dict[str, Any]:
    """Of the objective's rule file its burn alerts and what they are made of."""
    whole = without_texts(rule_file([objective], TimeScale()))
    name = burn_alert(objective).name
    burns = [rule for group in whole["groups"] for rule in group["rules"] if rule.get("alert") == name]
    records = made_of(whole, [rule["expr"] for rule in burns])
    return {"groups": [{"name": "ours", "interval": f"{STEP}s", "rules": [*records, *burns]}]}


def _points(true: NDArray[np.bool_], seed: int) -> list[int]:
    """The steps on both sides of each begin and end, and some others."""
    changes = np.flatnonzero(true[1:] != true[:-1])
    others = np.random.default_rng(seed).integers(0, true.size, _NOWHERE_NEAR)
    return sorted({int(step) for step in (*changes, *(changes + 1), *others)})
