"""Rules follow the objectives that a user gives."""

from dataclasses import replace
from datetime import timedelta

from jwtdrill.catalog.objectives import objectives
from jwtdrill.faults.lease import LONGEST_FAULT
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


def test_an_objective_of_the_users_own_is_chosen_and_judged_by_its_labels() -> None:
    """Its alert is named after it, and reads the page of its indicator."""
    own = replace(VERIFICATION, id="partner_api", filter={"audience": "https://partner"}, by=("namespace",))
    rules = [rule for group in rule_file([VERIFICATION, own], TimeScale())["groups"] for rule in group["rules"]]
    bad = next(r["expr"] for r in rules if r.get("labels") == {"objective": "partner_api"})
    assert "sum by (environment, issuer, namespace)" in bad
    assert 'audience="https://partner"' in bad
    alerts = [rule for rule in rules if rule.get("alert") == "JwtPartnerApiBudgetBurn"]
    assert len(alerts) == len(own.burn_tiers)
    assert alerts[0]["annotations"]["runbook_url"].endswith("/JwtVerificationBudgetBurn.md")
    assert "namespace {{ $labels.namespace }}" in alerts[0]["annotations"]["summary"]
    counted = next(r["expr"] for r in rules if r.get("record") == "jwtdrill:jwt_verification:events")
    assert counted.startswith("sum by (environment, issuer, audience, result, reason, namespace)")


def test_an_hour_of_a_fault_is_an_hour_however_fast_the_lab_is_watched() -> None:
    """A drill that holds its fault for some minutes is no fault that was left."""
    rules = [rule for group in rule_file([VERIFICATION], TimeScale(60))["groups"] for rule in group["rules"]]
    holds = {rule["alert"]: rule.get("for") for rule in rules if "alert" in rule}
    assert timedelta(minutes=65).total_seconds() > LONGEST_FAULT
    assert (holds["JwtFaultLeft"], holds["JwtCanaryStopped"]) == ("65m", "5s")
