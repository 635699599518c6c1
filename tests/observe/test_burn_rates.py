"""Burn rates are right where the plain form is wrong, at real windows, for other objectives and periods too.

The letters are those of the list in the requirements of the rules: each is a way in which alerts on error budgets are
known to fail.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.observe.promtool import LABELS, STEP, Check, Counter, canary, firing, refused, run, verified

from jwtdrill.catalog.objectives import Objective, objectives
from jwtdrill.observe.rules import BUDGET_REMAINING, rule_file
from jwtdrill.observe.timing import TimeScale

HOUR = 3600
VERIFICATION = next(o for o in objectives() if o.id == "verification")
VARIANTS = {
    "99.9% in 30d": VERIFICATION,
    "99% in 7d": replace(VERIFICATION, objective=0.99, period_days=7),
    "99.95% in 28d": replace(VERIFICATION, objective=0.9995, period_days=28),
}
PAGE = {"alertname": "JwtVerificationBudgetBurn", "severity": "page"}


@pytest.fixture(
    params=[
        pytest.param(objective, id=name, marks=() if objective is VERIFICATION else pytest.mark.slow)
        for name, objective in VARIANTS.items()
    ]
)
def objective(request: pytest.FixtureRequest) -> Objective:
    found: Objective = request.param
    return found


def rules(objective: Objective) -> dict[str, Any]:
    return rule_file([objective], TimeScale())


def test_a_total_outage_at_little_traffic_pages_once_enough_is_bad_and_silence_does_not_end_it(
    objective: Objective, tmp_path: Path
) -> None:
    """a. Six requests an hour: the fifth bad one pages, ten minutes of silence do not resolve it, a good one does."""
    gap, before = 600.0, 6 * HOUR
    good = verified().every(before, gap).then(2 * HOUR, 0).every(HOUR, gap)
    bad = refused("key_unavailable").then(before, 0).every(2 * HOUR, gap).then(HOUR, 0)  # three hours in all
    fifth = before + 5 * gap
    checks = [
        firing(fifth - 2 * STEP, 0, **PAGE),
        firing(fifth + STEP, 1, **PAGE, tier="14.4x"),
        firing(fifth + gap - STEP, 1, **PAGE, tier="14.4x"),  # for minutes nobody has asked
        *(firing(before + 2 * HOUR + gap + after, 0, **PAGE, tier="14.4x") for after in (0, gap - STEP, gap, 2 * gap)),
    ]
    assert not run(rules(objective), tmp_path, [good, bad], checks)


def test_one_failure_among_thirteen_requests_an_hour_pages_nobody(objective: Objective, tmp_path: Path) -> None:
    """a. It is eight percent of the hour, and still one error."""
    good = verified().every(8 * HOUR, 270)
    bad = refused("key_unavailable").then(4 * HOUR, 0).every(300, 300).then(4 * HOUR - 300, 0)
    checks = [firing(4 * HOUR + after, 0) for after in (300, 330, 600, 1800, HOUR, 3 * HOUR)]
    assert not run(rules(objective), tmp_path, [good, bad], checks)


def test_a_young_service_with_a_few_errors_does_not_page_and_one_that_fails_from_birth_does(
    objective: Objective, tmp_path: Path
) -> None:
    """b. Three minutes old, twice what a day-old service may: history that is missing was good at the rate of now."""
    share = 0.9 * 14.4 * objective.budget * (objective.period_days / 30) * 20  # of three minutes, 0.9 of an hour's
    other = 'environment="staging", issuer="https://dead"'
    young = verified().absent(HOUR - STEP).then(180, 100 * (1 - share))
    errors = refused("key_unavailable").absent(HOUR - STEP).then(180, 100 * share)
    dead = refused("key_unavailable", other).absent(HOUR - STEP).then(600, 10)
    for counter in (young, errors, dead):
        counter.values[0] = None
    checks = [
        Check(HOUR + 180, f'count(ALERTS{{issuer="https://i", alertstate="firing", {_page}}}) or vector(0)', 0),
        firing(HOUR + 180, 1, **PAGE, tier="14.4x", issuer="https://dead"),
    ]
    assert not run(rules(objective), tmp_path, [young, errors, dead], checks)


_page = 'severity="page", tier="14.4x"'


def test_half_an_hour_without_a_request_is_no_alert_and_no_nonsense(objective: Objective, tmp_path: Path) -> None:
    """c. Nothing is NaN, and nothing fires."""
    good = verified().then(HOUR, 10).then(HOUR / 2, 0).then(HOUR, 10)
    bad = refused("key_unavailable").then(2.5 * HOUR, 0)
    checks = [firing(at, 0) for at in (HOUR + 600, 1.5 * HOUR, 2 * HOUR)]
    everything = '{__name__=~"jwtdrill:.+"}'
    for at in (HOUR + 900, 1.5 * HOUR):
        checks.append(Check(at, f"count({everything}) - count({everything} >= -Inf)", 0))  # which no NaN is
        checks.append(Check(at, "jwtdrill:budget_remaining:ratio * 1 != 1", None))
    assert not run(rules(objective), tmp_path, [good, bad], checks)


def test_when_every_series_is_gone_an_alert_says_so_within_minutes(objective: Objective, tmp_path: Path) -> None:
    """d. Nothing burns where nothing is counted: without this alert it would look like peace."""
    good, bad = verified().then(HOUR, 10).goes(HOUR / 2), refused("key_unavailable").then(HOUR, 0.001).goes(HOUR / 2)
    blind = {"alertname": "JwtWatchingBlind", "severity": "page"}
    checks = [firing(HOUR, 0, **blind), firing(HOUR + 120, 0, **blind), firing(HOUR + 300, 1, **blind)]
    assert not run(rules(objective), tmp_path, [good, bad], [*checks, firing(HOUR + 900, 0, **PAGE)])


def test_the_first_error_of_its_kind_counts_and_an_old_counter_seen_first_does_not(
    objective: Objective, tmp_path: Path
) -> None:
    """e. A series that appears at one is one event; the million of an old process is none; no series is zero."""
    one = 'environment="staging", issuer="https://i", job="a", instance="1"'
    old = 'environment="staging", issuer="https://old", job="b", instance="2"'
    good, old_good = verified(one).then(2 * HOUR, 10), verified(old).absent(HOUR - STEP).then(HOUR, 10)
    appears = Counter(refused("key_unavailable", one).labels, []).absent(HOUR).reset(1).then(HOUR, 0)
    million = Counter(refused("key_unavailable", old).labels, []).absent(HOUR).reset(1e6).then(HOUR, 0)
    old_good.values[0] = None
    bad = 'sum(sum_over_time(jwtdrill:events_bad:events{{issuer="{}"}}[2h]))'
    checks = [
        Check(HOUR - STEP, bad.format("https://i"), 0),
        Check(2 * HOUR, bad.format("https://i"), 1),
        Check(2 * HOUR, bad.format("https://old"), 0),
        firing(2 * HOUR, 0),
    ]
    assert not run(rules(objective), tmp_path, [good, old_good, appears, million], checks)


def test_what_a_young_process_has_counted_before_its_first_scrape_counts(tmp_path: Path) -> None:
    """b, e. It failed from birth, and Prometheus came a moment later."""
    one = 'environment="staging", issuer="https://i", job="a", instance="1"'
    bad = Counter(refused("key_unavailable", one).labels, []).absent(HOUR).reset(40).then(300, 10)
    process = Counter('process_start_time_seconds{job="a", instance="1"}', []).absent(HOUR)
    process.values += [HOUR - 10] * 20
    expr = "sum(sum_over_time(jwtdrill:events_bad:events[1h]))"
    assert not run(rules(VERIFICATION), tmp_path, [bad, process], [Check(HOUR, expr, 40)])


def test_resets_restarts_and_new_labels_lose_nothing_and_add_nothing(objective: Objective, tmp_path: Path) -> None:
    """g. Of 7,200 good events and 72 bad ones each is counted once, whatever the processes do."""
    pods = [f'environment="staging", issuer="https://i", job="a", instance="{number}"' for number in range(3)]
    steady = verified(pods[0]).then(HOUR, 1)
    restarted = verified(pods[1]).then(HOUR / 2, 1).reset(15).then(HOUR / 2 - STEP, 1)
    gone = verified(pods[2]).then(HOUR / 2, 1).absent(HOUR / 2)
    kid = 'environment="staging", issuer="https://i", job="a", instance="0", kid="new"'
    rotated = Counter(verified(kid).labels, []).absent(HOUR / 2).reset(1).then(HOUR / 2, 0.02)
    bad = refused("key_unavailable", pods[1]).then(HOUR / 2, 0.02).reset(0.3).then(HOUR / 2 - STEP, 0.02)
    checks = [
        Check(HOUR, "round(sum(sum_over_time(jwtdrill:events_bad:events[90m])))", 72),
        # 3600 + 3600 + 1800 + 1 + 36, and the bad ones
        Check(HOUR, "round(sum(sum_over_time(jwtdrill:events_all:events[90m])))", 9037 + 72),
        firing(HOUR, 0, tier="14.4x") if objective.objective < 0.995 else firing(1, 0),
    ]
    assert not run(rules(objective), tmp_path, [steady, restarted, gone, rotated, bad], checks)


def test_a_target_scraped_twice_burns_no_faster(objective: Objective, tmp_path: Path) -> None:
    """g. Both halves of every ratio double."""
    counters = []
    for job in ("a", "b"):
        labels = f'{LABELS}, job="{job}", instance="1"'
        counters += [verified(labels).then(2 * HOUR, 9.9), refused("key_unavailable", labels).then(2 * HOUR, 0.1)]
    burn = f"round(max(jwtdrill:burn_rate:1h) * {objective.budget:g} * 1e6)"
    assert not run(rules(objective), tmp_path, counters, [Check(2 * HOUR, burn, 10_000)])


def test_a_flood_burns_nothing_and_hides_nothing(objective: Objective, tmp_path: Path) -> None:
    """i. A hundred times the traffic forged; then an outage under it, which the canary feels."""
    quiet, flood, outage = 2 * HOUR, HOUR, HOUR / 2
    good = verified().then(quiet + flood, 10).then(outage, 0)
    forged = refused("bad_signature").then(quiet, 0).then(flood + outage, 1000)
    aged = refused("expired").then(quiet, 0).then(flood + outage, 300)
    unknown = refused("unknown_kid").then(quiet, 0).then(flood, 500).then(outage, 510)
    sings = canary("success").then(quiet + flood, 1).then(outage, 0)
    fails = canary("failure").then(quiet + flood, 0).then(outage, 1)
    begin = quiet + flood
    checks = [
        *(firing(quiet + after, 0, **PAGE) for after in (60, 600, flood)),
        Check(begin, "max(jwtdrill:burn_rate:1h)", 0),
        firing(begin + 180, 1, **PAGE, tier="14.4x"),
    ]
    assert not run(rules(objective), tmp_path, [good, forged, aged, unknown, sings, fails], checks)


def test_one_failed_call_of_the_canary_in_a_flood_is_worth_one_call(objective: Objective, tmp_path: Path) -> None:
    """i. Three seconds of trouble of the canary's own must not turn a flood into an outage."""
    good = verified().then(2 * HOUR, 10)
    forged = refused("bad_signature").then(HOUR, 0).then(HOUR, 1000)
    sings = canary("success").then(2 * HOUR, 1)
    fails = canary("failure").then(1.5 * HOUR, 0).reset(3).then(HOUR / 2 - STEP, 0)
    checks = [firing(1.5 * HOUR + after, 0, **PAGE, tier="14.4x") for after in (15, 60, 120, 300, 900)]
    assert not run(rules(objective), tmp_path, [good, forged, sings, fails], checks)


@pytest.mark.slow
def test_a_bad_night_at_little_traffic_weighs_what_it_was(tmp_path: Path) -> None:
    """f. A month at 10 requests/s, and one night of 8 hours at a tenth of that in which 49.9 % fail.

    The mean of ratios would say 0.55 %, five times the budget; in truth it is 0.056 %, so that 44 % of it is left.
    """
    days, night = 30, 8 * HOUR
    rest = (days * 24 * HOUR - night) / 2
    good = verified().then(rest, 10).then(night, 0.501).then(rest, 10)
    bad = refused("key_unavailable").then(rest, 0).then(night, 0.499).then(rest, 0)
    built = rules(VERIFICATION)
    left = next(rule for group in built["groups"] for rule in group["rules"] if rule.get("record") == BUDGET_REMAINING)
    # promtool evaluates every group at every step: what is summed over a month is asked for once, at the end.
    for group in built["groups"]:
        group["rules"] = [r for r in group["rules"] if r.get("record", "").endswith((":events", ":events1h"))]
    failed, asked = 0.499 * night, 10 * 2 * rest + night
    expr = f"round(sum({left['expr']}) * 1e4)"
    assert not run(
        built, tmp_path, [good, bad], [Check(days * 24 * HOUR, expr, round((1 - failed / asked / 0.001) * 1e4))]
    )
