"""Prometheus rules built from the catalogue: counted events, burn rates per window, budgets, and every alert.

Burn rates are ratios of sums over counted events, never averages of ratios, so that a quiet hour weighs little, and
history that is missing counts as good at the rate of what there is. A tier fires when its long window burns faster than
its factor and holds enough bad events, and its short window did when somebody last asked: one error never pages, not
even hours after an outage, a total outage at little traffic does, and silence neither ends nor begins anything.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from jwtdrill.catalog.alerting import BurnAlert, DetectionAlert
from jwtdrill.catalog.alerts import DETECTION_ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import BurnTier, Objective
from jwtdrill.catalog.promql import CANARY_FAILING, EVENTS_ALL, EVENTS_BAD, EVENTS_MOST, promql_duration
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS
from jwtdrill.observe.annotations import annotations
from jwtdrill.observe.counting import counting_rule, merged
from jwtdrill.observe.detecting import COUNTED, records
from jwtdrill.observe.indicators import canary_failing, counted_for, events
from jwtdrill.observe.timing import TimeScale, window_name

RUNBOOKS = "https://runbooks.example/jwtdrill"  # to be replaced by where the user keeps docs/runbooks
BUDGET_REMAINING = "jwtdrill:budget_remaining:ratio"
_REMEMBERED = timedelta(hours=6)  # for which the last burn of a short window counts where nobody asks
_MORE_THAN_ONE, _HALF = 2, 0.5  # bad events, or their share, without which a short window burns by chance
_USUAL = timedelta(hours=1)  # over which traffic is as usual
_CANARY = timedelta(minutes=1)  # in which the canary's failing share is taken
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_STEPS = {_DAY: timedelta(minutes=5), _WEEK: timedelta(hours=1)}  # of sums over so long and more


def burn_rate(window: timedelta) -> str:
    """The series of burn rates over that window: 1 spends the budget exactly in the objective's period."""
    return f"jwtdrill:burn_rate:{window_name(window)}"


def burning_now(window: timedelta) -> str:
    """The same of a short window, in which one error among others counts for none: of an outage there would be more."""
    return f"jwtdrill:burning_now:{window_name(window)}"


def rule_file(objectives: Iterable[Objective], scale: TimeScale, runbooks: str = RUNBOOKS) -> dict[str, Any]:
    """The content of a Prometheus rule file."""
    guarded = [objective for objective in objectives if objective.guarded]
    counts = [counting_rule(counted, scale) for counted in merged([*COUNTED, *counted_for(guarded)])]
    failing = {"record": CANARY_FAILING, "expr": canary_failing(scale.window(_CANARY))}
    groups = {
        # Rules of a group run in order: each reads what those before it have just recorded.
        "jwtdrill": [
            *counts,
            failing,
            *records(scale, scale.window(_USUAL)),
            *(
                rule
                for one in guarded
                for rule in (*_events(one, scale), *_burn_rates(one, scale), *_burning_now(one, scale))
            ),
            *(
                _burn_rule(objective, burn_alert(objective), tier, scale, runbooks)
                for objective in guarded
                for tier in objective.burn_tiers
            ),
            *(_detection_rule(alert, scale, runbooks) for alert in DETECTION_ALERTS),
        ],
        # By itself, for it says so where the other is not evaluated.
        "jwtdrill-watching": [_detection_rule(alert, scale, runbooks) for alert in WATCHING_ALERTS],
    }
    interval = promql_duration(scale.interval)
    budgets = [_budget(objective, scale) for objective in guarded]
    return {
        "groups": [
            *({"name": name, "interval": interval, "rules": rules} for name, rules in groups.items()),
            *(
                [{"name": "jwtdrill-budgets", "interval": scale.window(_STEPS[_DAY]), "rules": budgets}]
                if budgets
                else []
            ),
        ]
    }


def prometheus_rule(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same as an object for the Prometheus Operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "jwtdrill", "labels": {"app.kubernetes.io/name": "jwtdrill"}},
        "spec": {"groups": rules["groups"]},
    }


def _events(objective: Objective, scale: TimeScale) -> list[dict[str, Any]]:
    found = events(objective, scale, scale.window(_USUAL))
    only, labels = _only(objective), {"objective": objective.id}
    most = [{"record": EVENTS_MOST, "expr": found.most, "labels": labels}] if found.most else []
    return [
        *most,
        {"record": EVENTS_BAD, "expr": found.bad, "labels": labels},
        {"record": EVENTS_ALL, "expr": found.all, "labels": labels},
        *(
            # A little shorter than the step, so that each point falls into one sum alone, whether or not a range holds
            # its older end (it does in Prometheus 2 and does not in 3).
            {
                "record": _by_steps(name, step),
                "expr": f"sum_over_time({name}{only}[{promql_duration(scale.seconds(step) - scale.interval / 3)}])",
                "labels": labels,
            }
            for step in _STEPS.values()
            for name in (EVENTS_BAD, EVENTS_ALL)
        ),
    ]


def _only(objective: Objective) -> str:
    return f'{{objective="{objective.id}"}}'


def _by_steps(name: str, step: timedelta) -> str:
    """The series of that one's sums over so long."""
    return f"{name}{window_name(step)}"


def _step(window: timedelta) -> timedelta | None:
    """Between the points that a sum over that window is made of, for a month has 170,000 of 15 seconds; None: all."""
    return next((step for least, step in reversed(_STEPS.items()) if window >= least), None)


def _over(name: str, objective: Objective, window: timedelta, scale: TimeScale) -> str:
    """Its range over that window."""
    step = _step(window)
    if step is None:
        return f"{name}{_only(objective)}[{scale.window(window)}]"
    return f"{_by_steps(name, step)}{_only(objective)}[{scale.window(window)}:{scale.window(step)}]"


def _points(window: timedelta, scale: TimeScale) -> str:
    """How many points a whole window has at the least: what is younger has fewer, and what is missing was good."""
    step = _step(window)
    return f"{scale.seconds(window) / (scale.interval if step is None else scale.seconds(step)):.6g}"


def _burn_rates(objective: Objective, scale: TimeScale) -> list[dict[str, Any]]:
    windows = sorted({window for tier in objective.burn_tiers for window in (tier.long, tier.short)})
    rules = []
    for window in windows:
        bad, total = (_over(name, objective, window, scale) for name in (EVENTS_BAD, EVENTS_ALL))
        rules.append(
            {
                "record": burn_rate(window),
                "expr": (
                    f"sum_over_time({bad})\n"
                    f"/ (avg_over_time({total}) > 0)\n"
                    f"/ clamp_min(count_over_time({total}), {_points(window, scale)})\n"
                    f"/ {objective.budget:.6g}"
                ),
                "labels": {"objective": objective.id},
            }
        )
    return rules


def _burning_now(objective: Objective, scale: TimeScale) -> list[dict[str, Any]]:
    only, rules = _only(objective), []
    for window in sorted({tier.short for tier in objective.burn_tiers}):
        bad, total = (f"sum_over_time({_over(name, objective, window, scale)})" for name in (EVENTS_BAD, EVENTS_ALL))
        burn = f"{burn_rate(window)}{only}"
        expr = f"{burn}\nand ({bad} >= {_MORE_THAN_ONE}\nor {bad}\n/ {total} >= {_HALF})\nor {burn} * 0"
        rules.append({"record": burning_now(window), "expr": expr, "labels": {"objective": objective.id}})
    return rules


def _budget(objective: Objective, scale: TimeScale) -> dict[str, Any]:
    """What is left of the period's budget."""
    bad, total = (
        f"sum_over_time({_over(name, objective, objective.period, scale)})" for name in (EVENTS_BAD, EVENTS_ALL)
    )
    left = f"1 - ({bad} / ({total} > 0) or {bad} * 0) / {objective.budget:.6g}"
    return {"record": BUDGET_REMAINING, "expr": left, "labels": {"objective": objective.id}}


def _burn_rule(
    objective: Objective, alert: BurnAlert, tier: BurnTier, scale: TimeScale, runbooks: str
) -> dict[str, Any]:
    only = _only(objective)
    bad = _over(EVENTS_BAD, objective, tier.long, scale)
    remembered = scale.window(min(tier.long, _REMEMBERED))
    factor = f"{tier.factor(objective.period):.6g}"
    rule: dict[str, Any] = {
        "alert": alert.name,
        "expr": (
            f"{burn_rate(tier.long)}{only} > {factor}\n"
            f"and last_over_time({burning_now(tier.short)}{only}[{remembered}]) > {factor}\n"
            f"and sum_over_time({bad}) >= {objective.minimum_bad_events:g}"
        ),
    }
    if tier.hold:
        rule["for"] = scale.hold(tier.hold)
    rule["labels"] = {"severity": tier.severity.value, "route": alert.route.value, "tier": tier.name}
    description = (
        f"{objective.title}, burning the error budget {{{{ $value | humanize }}}} times too fast. Objective "
        f"{objective.objective:.6g} over {window_name(objective.period)}: at {factor} times, "
        f"{tier.factor(objective.period) * (tier.long / objective.period):.2%} of the period's budget goes within "
        f"{window_name(tier.long)}, and the last {window_name(tier.short)} burn as fast."
    )
    page = f"{runbooks}/{alert.runbook}.md"
    rule["annotations"] = annotations(alert, description, scale, page)
    return rule


def _detection_rule(alert: DetectionAlert, scale: TimeScale, runbooks: str) -> dict[str, Any]:
    scale = scale.of(alert)
    rule: dict[str, Any] = {"alert": alert.name, "expr": scale.expression(alert.expr)}
    if alert.hold:
        rule["for"] = scale.hold(alert.hold)
    rule["labels"] = {"severity": alert.severity.value, "route": alert.route.value}
    page = f"{runbooks}/{alert.name}.md"
    rule["annotations"] = annotations(alert, alert.description, scale, page)
    return rule
