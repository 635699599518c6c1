"""The catalogue is consistent in itself, and with the files that it names."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from jwtdrill.catalog.alerts import ALERT_NAMES, BURN_ALERTS, DETECTION_ALERTS, burn_alert
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.listing import listing
from jwtdrill.catalog.metrics import HARNESS_METRICS, METRICS, SERVICE_METRICS, Kind
from jwtdrill.catalog.objectives import TIERS, Indicator, objectives
from jwtdrill.catalog.reasons import Blame, Reason, reasons_blamed_on
from jwtdrill.errors import BadInputError
from jwtdrill.faults.registry import FAULTS
from jwtdrill.observe.files import build_dashboards

ROOT = Path(__file__).parents[2]


def test_metric_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name), metric
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric
        assert (metric.unit == "seconds") == metric.name.endswith("_seconds"), metric
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM), metric
        assert list(metric.buckets) == sorted(metric.buckets), metric
        assert metric.help.endswith("."), metric
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_prefixes_tell_services_from_the_harness() -> None:
    assert all(metric.name.startswith("jwt_") for metric in SERVICE_METRICS)
    assert all(metric.name.startswith("jwtdrill_") for metric in HARNESS_METRICS)


def test_every_metric_can_be_exposed_under_its_own_name() -> None:
    instruments = Instruments()
    for metric in METRICS:
        made = getattr(instruments, metric.kind.value)(metric)
        if metric.labels:
            made.labels(*(["x"] * len(metric.labels)))
    text = generate_latest(instruments.registry).decode()
    for metric in METRICS:
        assert f"\n{metric.name}" in f"\n{text}", metric


def test_the_bounds_of_latency_objectives_are_bucket_bounds() -> None:
    duration = next(m for m in METRICS if m.name == "jwt_verification_duration_seconds")
    for objective in objectives():
        if objective.indicator is Indicator.VERIFICATION_LATENCY:
            assert objective.threshold in duration.buckets


def test_every_reason_has_one_blame() -> None:
    assert {r for blame in Blame for r in reasons_blamed_on(blame)} == set(Reason)
    assert Reason.KEY_UNAVAILABLE.blame is Blame.SERVICE
    assert Reason.WRONG_AUDIENCE.blame is Blame.CLIENT
    assert Reason.UNKNOWN_KID.blame is Blame.AMBIGUOUS


def test_tiers_have_the_factors_of_the_sre_workbook() -> None:
    period = objectives()[0].period
    assert [round(tier.factor(period), 6) for tier in TIERS] == [14.4, 6, 3, 3, 1]


def test_a_tier_that_the_objective_can_never_reach_is_refused() -> None:
    median = next(o for o in objectives() if o.objective == 0.5)
    with pytest.raises(ValueError, match=r"can never burn fast enough for 14\.4x.*take 1x"):
        replace(median, tiers=("14.4x", "1x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[objective]]\nid = "a"\n', "is missing"),
        (
            '[[objective]]\nid = "a"\nrequirement = "M2"\ntitle = "A"\nindicator = "issuance_success"\n'
            "objective = 99.9\n",
            "between 0 and 1",
        ),
        ('[[objectives]]\nid = "a"\n', ":1: objectives: is not known"),
    ],
)
def test_a_wrong_objectives_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "slo.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=re.escape(message)):
        objectives(path)


def test_every_objective_that_burns_has_its_own_alert() -> None:
    guarded = [objective for objective in objectives() if objective.tiers]
    assert {alert.objective_id for alert in BURN_ALERTS} == {objective.id for objective in guarded}
    assert burn_alert(replace(guarded[0], id="my-own")).name == "JwtMyOwnBudgetBurn"


def test_alerts_and_runbooks_are_the_same_in_both_directions() -> None:
    assert {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")} == set(ALERT_NAMES)


def test_failure_modes_name_what_exists() -> None:
    drills = {path.stem for path in (ROOT / "chaos").glob("*.yaml")}
    panels = {
        (name.removesuffix(".json"), title)
        for name, text in build_dashboards(ROOT / "dashboards").items()
        for title in re.findall(r'"title": "([^"]+)"', text)
    }
    for mode in FAILURE_MODES:
        assert set(mode.faults) <= set(FAULTS), mode
        assert set(mode.alerts) <= set(ALERT_NAMES), mode
        assert mode.panel in panels, mode
        assert mode.drill in drills, mode


def test_every_fault_and_drill_belongs_to_a_failure_mode() -> None:
    assert {fault for mode in FAILURE_MODES for fault in mode.faults} == set(FAULTS)
    assert {mode.drill for mode in FAILURE_MODES} == {path.stem for path in (ROOT / "chaos").glob("*.yaml")}


def test_alerts_and_failure_modes_point_at_each_other() -> None:
    detects = {a.name: set(a.detects) for a in (*BURN_ALERTS, *DETECTION_ALERTS)}
    for mode in FAILURE_MODES:
        for alert in mode.alerts:
            assert mode.id in detects[alert], (mode.id, alert)


def test_the_listing_holds_everything() -> None:
    content = listing()
    assert [r["name"] for r in content["metrics"]] == [m.name for m in METRICS]
    assert {r["alert"] for r in content["alerts"]} == set(ALERT_NAMES)
