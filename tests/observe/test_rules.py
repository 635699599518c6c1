"""Rules follow the objectives that a user gives."""

from dataclasses import replace

from jwtdrill.catalog.objectives import objectives
from jwtdrill.observe.routes import alertmanager_config
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale

VERIFICATION = next(o for o in objectives() if o.id == "verification")


def test_changed_objective_and_period_change_factor_and_budget() -> None:
    changed = replace(VERIFICATION, objective=0.99, period_days=7, tiers=("14.4x", "6x"))
    rules = [rule for group in rule_file([changed], TimeScale())["groups"] for rule in group["rules"]]
    burn = next(rule for rule in rules if rule.get("record") == "jwtdrill:burn_rate:1h")
    assert burn["expr"].endswith("/ 0.01")
    factors = [
        rule["expr"].partition("> ")[2].partition("\n")[0] for rule in rules if rule.get("labels", {}).get("tier")
    ]
    assert factors == ["3.36", "1.4"]


def test_an_objective_without_tiers_has_no_rules() -> None:
    groups = rule_file([replace(VERIFICATION, tiers=())], TimeScale())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert not [rule for rule in rules if "objective" in rule.get("labels", {}) or "tier" in rule.get("labels", {})]


def test_each_faster_tier_inhibits_every_slower_one() -> None:
    pairs = {
        (rule["source_matchers"][1], rule["target_matchers"][1])
        for rule in alertmanager_config(TimeScale())["inhibit_rules"]
    }
    assert pairs == {
        ('tier="14.4x"', 'tier=~"6x|3x-critical|3x|1x"'),
        ('tier="6x"', 'tier=~"3x-critical|3x|1x"'),
        ('tier="3x-critical"', 'tier=~"3x|1x"'),
        ('tier="3x"', 'tier=~"1x"'),
    }
