"""The catalogue is consistent in itself, and with the files that it names."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from jwtdrill.catalog.alerting import DetectionAlert
from jwtdrill.catalog.alerts import ALERT_NAMES, ALERTS
from jwtdrill.catalog.burn_alerts import BURN_ALERTS, burn_alert
from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.listing import listing
from jwtdrill.catalog.metrics import HARNESS_METRICS, METRICS, SERVICE_METRICS, Kind
from jwtdrill.catalog.objectives import TIERS, objectives
from jwtdrill.catalog.reasons import Blame, Reason, reasons_blamed_on
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS
from jwtdrill.errors import BadInputError
from jwtdrill.faults.registry import FAULTS, HTTP_FAULTS, find_fault
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
    for objective in objectives():
        if objective.indicator.is_latency:
            assert objective.indicator.metric is not None
            assert objective.threshold in objective.indicator.metric.buckets


def test_every_reason_has_one_blame() -> None:
    assert {r for blame in Blame for r in reasons_blamed_on(blame)} == set(Reason)
    assert Reason.KEY_UNAVAILABLE.blame is Reason.REPLAY_UNKNOWN.blame is Blame.SERVICE
    assert Reason.WRONG_AUDIENCE.blame is Blame.CLIENT
    assert Reason.UNKNOWN_KID.blame is Blame.AMBIGUOUS


def test_tiers_have_the_factors_of_the_sre_workbook() -> None:
    period = objectives()[0].period
    hour = 3600
    assert [
        (round(tier.factor(period), 6), tier.long.total_seconds(), tier.short.total_seconds(), tier.severity.value)
        for tier in TIERS
    ] == [
        (14.4, hour, hour / 12, "page"),
        (6, 6 * hour, hour / 2, "page"),
        (3, hour, hour / 12, "page"),
        (3, 24 * hour, 2 * hour, "ticket"),
        (1, 72 * hour, 6 * hour, "ticket"),
    ]
    assert [tier.hold.total_seconds() for tier in TIERS] == [0, 0, 300, 0, 0]


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
        assert all(find_fault(name) for name in mode.faults), mode
        assert set(mode.alerts) <= set(ALERT_NAMES), mode
        assert mode.panel in panels, mode
        assert set(mode.drills) <= drills, mode
        assert not mode.drills or mode.faults, mode


def test_every_fault_and_drill_belongs_to_a_failure_mode() -> None:
    named = {fault for mode in FAILURE_MODES for fault in mode.faults}
    assert named >= set(FAULTS)
    assert {name.partition(".")[2] for name in named - set(FAULTS)} >= set(HTTP_FAULTS)
    drills = [drill for mode in FAILURE_MODES for drill in mode.drills]
    assert sorted(drills) == sorted({path.stem for path in (ROOT / "chaos").glob("*.yaml")})


def test_alerts_and_failure_modes_point_at_each_other() -> None:
    detects = {alert.name: set(alert.detects) for alert in ALERTS}
    for mode in FAILURE_MODES:
        for alert in mode.alerts:
            assert mode.id in detects[alert], (mode.id, alert)
    assert set().union(*detects.values()) == {mode.id for mode in FAILURE_MODES}


def test_the_whole_list_of_requirements_is_covered() -> None:
    """Metrics M1–M10 and failure modes F1–F14; every alert tells of one, or of the watching itself."""
    served = {requirement for metric in METRICS for requirement in metric.requirements}
    assert {f"M{number}" for number in range(1, 11)} <= served
    assert [mode.id for mode in FAILURE_MODES] == [f"F{number}" for number in range(1, 15)]
    for alert in ALERTS:
        assert alert.detects or alert in WATCHING_ALERTS, alert.name


def test_what_an_alert_silences_is_another_alert_that_names_the_same_issuer_or_environment() -> None:
    by_name = {alert.name: alert for alert in ALERTS}
    for alert in ALERTS:
        assert alert.name not in alert.silences
        for symptom in alert.silences:
            assert set(alert.by) & set(by_name[symptom].by) & {"environment", "issuer"}, (alert.name, symptom)


def test_every_alert_says_who_is_hurt_and_what_to_type_first() -> None:
    for alert in ALERTS:
        assert alert.hurt, alert.name
        assert not alert.hurt.endswith("."), alert.name
        assert re.match(r"(jwtdrill|promtool|curl|openssl|timedatectl) ?", alert.first), alert.name
        if isinstance(alert, DetectionAlert):
            assert alert.description.endswith("."), alert.name


def test_the_listing_holds_everything() -> None:
    content = listing()
    assert [r["name"] for r in content["metrics"]] == [m.name for m in METRICS]
    assert {r["alert"] for r in content["alerts"]} == set(ALERT_NAMES)
