"""Prometheus rules built from the catalogue: base rates, burn rates per window, and every alert.

Burn rates are ratios of sums over the base rates, never averages of ratios, so that a quiet hour weighs little. A tier
fires when both its windows burn faster than its factor and the long one holds enough bad events: one error never
pages, and a total outage at little traffic still does.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from jwtdrill.catalog.alerts import DETECTION_ALERTS, BurnAlert, DetectionAlert, burn_alert
from jwtdrill.catalog.objectives import BurnTier, Objective
from jwtdrill.observe.indicators import GROUP, events
from jwtdrill.observe.timing import BASE_WINDOW, TimeScale, promql_duration, window_name

EVENTS_BAD = "jwtdrill:events_bad:rate"
EVENTS_ALL = "jwtdrill:events_all:rate"
RUNBOOKS = "https://runbooks.example/jwtdrill"  # to be replaced by where the user keeps docs/runbooks


def burn_rate(window: timedelta) -> str:
    """The series of burn rates over that window: 1 spends the budget exactly in the objective's period."""
    return f"jwtdrill:burn_rate:{window_name(window)}"


def rule_file(objectives: Iterable[Objective], scale: TimeScale, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The content of a Prometheus rule file."""
    guarded = [objective for objective in objectives if objective.tiers]
    interval = promql_duration(scale.interval)
    return {
        "groups": [
            {
                "name": "jwtdrill-objectives",
                "interval": interval,
                "rules": [
                    rule
                    for objective in guarded
                    for rule in (*_base_rates(objective, scale), *_burn_rates(objective, scale))
                ],
            },
            {
                "name": "jwtdrill-burn-alerts",
                "interval": interval,
                "rules": [
                    _burn_rule(objective, burn_alert(objective), tier, scale, runbooks)
                    for objective in guarded
                    for tier in objective.burn_tiers
                ],
            },
            {
                "name": "jwtdrill-detection",
                "interval": interval,
                "rules": [_detection_rule(alert, scale, runbooks) for alert in DETECTION_ALERTS],
            },
        ]
    }


def _base_rates(objective: Objective, scale: TimeScale) -> list[dict[str, Any]]:
    rates = events(objective, scale.window(BASE_WINDOW))
    labels = {"objective": objective.id}
    # Rules of a group run in order: the second reads what the first has just recorded.
    bad = f'sum by ({GROUP}) ({EVENTS_BAD}{{objective="{objective.id}"}})'
    return [
        {"record": EVENTS_BAD, "expr": f"({rates.bad})\nor ({rates.good}) * 0", "labels": labels},
        {"record": EVENTS_ALL, "expr": f"({rates.good} or {bad} * 0)\n+ {bad}", "labels": labels},
    ]


def _burn_rates(objective: Objective, scale: TimeScale) -> list[dict[str, Any]]:
    windows = sorted({window for tier in objective.burn_tiers for window in (tier.long, tier.short)})
    only = f'{{objective="{objective.id}"}}'
    return [
        {
            "record": burn_rate(window),
            "expr": (
                f"sum_over_time({EVENTS_BAD}{only}[{scale.window(window)}])\n"
                f"/ (sum_over_time({EVENTS_ALL}{only}[{scale.window(window)}]) > 0)\n"
                f"/ {objective.budget:.6g}"
            ),
            "labels": {"objective": objective.id},
        }
        for window in windows
    ]


def _burn_rule(
    objective: Objective, alert: BurnAlert, tier: BurnTier, scale: TimeScale, runbooks: str
) -> dict[str, Any]:
    only = f'{{objective="{objective.id}"}}'
    factor = f"{tier.factor(objective.period):.6g}"
    rule: dict[str, Any] = {
        "alert": alert.name,
        "expr": (
            f"{burn_rate(tier.long)}{only} > {factor}\n"
            f"and {burn_rate(tier.short)}{only} > {factor}\n"
            f"and sum_over_time({EVENTS_BAD}{only}[{scale.window(tier.long)}]) * {scale.interval:g} "
            f">= {objective.minimum_bad_events:g}"
        ),
    }
    if tier.hold:
        rule["for"] = scale.hold(tier.hold)

    rule["labels"] = {"severity": tier.severity.value, "route": alert.route.value, "tier": tier.name}
    rule["annotations"] = {
        "summary": (
            f"{objective.title}: {alert.hurt} at {{{{ $labels.issuer }}}} ({{{{ $labels.environment }}}}), "
            f"burning the error budget {{{{ $value | humanize }}}} times too fast"
        ),
        "description": (
            f"Objective {objective.objective:.6g} over {window_name(objective.period)}. At {factor} times, "
            f"{tier.spent:.2%} of the period's budget goes within {window_name(tier.long)}; "
            f"the last {window_name(tier.short)} burn as fast."
        ),
        "runbook_url": f"{runbooks}/{alert.name}.md",
    }
    return rule


def _detection_rule(alert: DetectionAlert, scale: TimeScale, runbooks: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": scale.expression(alert.expr)}
    if alert.hold:
        rule["for"] = scale.hold(alert.hold)
    rule["labels"] = {"severity": alert.severity.value, "route": alert.route.value}
    rule["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{runbooks}/{alert.name}.md",
    }
    return rule
