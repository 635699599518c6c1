"""The numpy forms of both sets of rules see what promtool sees, and the check notices where they do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.alerting import ours, weeks, windows, workbook
from benchmarks.alerting.agreement import compared, disagreements, our_rules
from benchmarks.alerting.promtool import Question, ask
from benchmarks.alerting.traffic import (
    CANARY,
    DAY,
    FAILURE,
    HOUR,
    MINUTE,
    PROCESS,
    STEP,
    SUCCESS,
    VERIFICATION,
    Array,
    Condition,
    Outage,
    Series,
    Week,
    week,
)
from benchmarks.alerting.weeks import Reach, Rules, episodes, judge
from benchmarks.alerting.windows import held, last, rate, total

from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import objectives

NAN = float("nan")
NONE: dict[str, list[object]] = {"groups": []}
OBJECTIVE = next(one for one in objectives() if one.id == "verification")


@pytest.mark.parametrize(
    ("values", "by_hand"),
    [
        pytest.param([0, 10, 20, 30, 40], 40 / 60, id="a full minute"),
        pytest.param([8, 10, 1, 3, 4], (2 + 1 + 2 + 1) / 60, id="a reset"),
        pytest.param([3, 5, 7, 9], 6 * (45 + 15) / 45 / 60, id="to a begin that is near"),
        pytest.param([100, 101, 102], 2 * (30 + 7.5) / 30 / 60, id="to half a gap before, where it is far"),
        pytest.param([1, 5, 9], 8 * (30 + 3.75) / 30 / 60, id="not to below zero"),
        pytest.param([0, 2, 4, 6, NAN], 6 * (45 + 15) / 45 / 60, id="a missing end"),
        pytest.param([NAN, NAN, 7], NAN, id="one sample"),
    ],
)
def test_rate_over_a_minute_is_what_it_is_by_hand(values: list[float], by_hand: float) -> None:
    assert rate(np.array([values], dtype=float), 60)[0, -1] == pytest.approx(by_hand, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_functions_over_ranges_are_those_of_promtool(seed: int, tmp_path: Path) -> None:
    """Of a counter with resets, gaps and a late begin, at each step."""
    values = counter(np.random.default_rng(seed), 80, per_step=2.0)
    series = [Series("x", {}, values)]
    steps = range(values.size)
    for expr, expected in (
        ("rate(x[5m])", rate(values, 300)),
        ("rate(x[1m])", rate(values, 60)),
        ("sum_over_time(x[2m])", total(values, 8)),
        ("last_over_time(x[2m])", last(values, 8)),
    ):
        seen = ask(NONE, series, [Question(expr, step) for step in steps], tmp_path)
        assert np.array([NAN if one is None else one for one in seen]) == pytest.approx(expected, nan_ok=True, rel=1e-9)


def test_a_hold_begins_anew_after_each_break() -> None:
    true = np.array([1, 1, 1, 0, 1, 1, 1, 1], dtype=bool)
    assert held(true, 2).tolist() == [False, False, True, False, False, False, True, True]


@pytest.mark.parametrize("seed", [2, 3, 8, 31])  # which between them trip all tiers of both
def test_both_sets_of_rules_are_those_of_promtool(seed: int, tmp_path: Path) -> None:
    """All tiers, in four hours in which requests fail, forged tokens come, the canary fails, and processes restart."""
    found = disagreements(randomized(seed), OBJECTIVE, tmp_path, tiers=workbook.TIERS, seed=seed)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_LOOKBACK", 3),
        ("_YOUNG", 0.0),
        ("_CANARY", 30),
        ("_USUAL", 20),
        ("_BESIDE", 0.0),
        ("_OUTAGE", 0.95),
        ("_ACCEPTED_LEAST", 0.5),
        ("_SPARSE", 0.0),
        ("_SPREAD", 3),
        ("_FAILING", 2),
        ("_MORE_THAN_ONE", 1.0),
        ("_HALF", 2.0),
    ],
)
def test_a_changed_rule_of_ours_is_found_out(
    name: str, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever length or bound differs from that of the rule file."""
    series = randomized(2 if name == "_ACCEPTED_LEAST" else 31)
    monkeypatch.setattr(ours, name, value)
    pages = replace(OBJECTIVE, tiers=("14.4x", "6x", "3x-critical"))
    assert compared(burn_alert(pages).name, ours.firing(series, pages), our_rules(pages), series, tmp_path)


def test_a_changed_rule_of_the_workbooks_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far from the ends of a range `rate` reaches them."""
    tiers = workbook.TIERS[:1]
    series = [one for one in randomized(17) if one.labels.get("reason") in ("", "key_unavailable")]
    monkeypatch.setattr(windows, "_EXTRAPOLATED", 5.0)
    plain = workbook.firing(series, OBJECTIVE, tiers)
    assert compared(workbook.ALERT, plain, workbook.rules(OBJECTIVE, tiers), series, tmp_path)


def test_a_week_is_the_same_for_the_same_seed_and_counts_what_happened() -> None:
    """What the counters rise by is what the truth says, but for what nobody scraped."""
    condition = Condition("outage", depth=0.5, outages=(1.0,))
    one, same, other = (week("bursty", condition, seed) for seed in (0, 0, 1))
    for left, right in zip(one.series, same.series, strict=True):
        np.testing.assert_array_equal(left.values, right.values)
    assert (one.total != other.total).any()
    verified = [series for series in one.series if series.metric == VERIFICATION]
    bad = sum(np.nanmax(series.values) for series in verified if series.labels["result"] == FAILURE)
    assert bad == one.bad.sum()
    assert sum(np.nanmax(series.values) for series in verified) == one.total.sum()
    (outage,) = one.outages
    inside = slice(outage.begin, outage.end)
    assert one.bad[inside].sum() == pytest.approx(one.total[inside].sum() / 2, rel=0.2)


def test_pages_are_judged_by_where_they_begin() -> None:
    """In an outage it is what was wanted; before it false; in the hours after it, false and anew."""
    begin, end = DAY, DAY + HOUR
    fires = np.zeros(2 * DAY, dtype=bool)
    for page in (begin - 2 * HOUR, begin + 3, end + HOUR, end + 8 * HOUR):
        fires[page : page + MINUTE] = True
    truth = np.zeros(2 * DAY)
    truth[begin:end] = 1
    one = Week("low", Condition("c"), [], truth, np.ones(2 * DAY), [Outage(begin, end, 1.0)])
    tickets = {name: np.zeros(2 * DAY, dtype=bool) for name in ("3x", "1x")}
    rules = Rules("r", lambda *_: {"14.4x": fires, **tickets}, {"14.4x": Reach(0.0144, HOUR, 0, 5)})
    (judged,) = judge(one, OBJECTIVE, [rules])
    assert [page[0] for page in judged.false] == [begin - 2 * HOUR, end + 8 * HOUR]
    assert [page[0] for page in judged.again] == [end + HOUR]
    (seen,) = judged.outages
    assert seen.in_reach
    assert not seen.missed
    assert seen.delay == 4  # scraped at the end of the fourth step


def test_a_page_that_fires_already_tells_of_no_outage() -> None:
    fires = np.zeros(2 * DAY, dtype=bool)
    fires[DAY - HOUR : DAY + 2 * HOUR] = True
    truth = np.zeros(2 * DAY)
    truth[DAY : DAY + HOUR] = 1
    one = Week("low", Condition("c"), [], truth, np.ones(2 * DAY), [Outage(DAY, DAY + HOUR, 1.0)])
    tickets = {name: np.zeros(2 * DAY, dtype=bool) for name in ("3x", "1x")}
    rules = Rules("r", lambda *_: {"14.4x": fires, **tickets}, {"14.4x": Reach(0.0144, HOUR, 0, 5)})
    (judged,) = judge(one, OBJECTIVE, [rules])
    assert judged.outages[0].missed


def test_short_breaks_do_not_make_two_pages_of_one() -> None:
    true = np.zeros(200, dtype=bool)
    true[10:20] = true[25:30] = true[100:110] = True
    assert episodes(true) == [(10, 30), (100, 110)]


def test_there_are_at_least_200_weeks_and_promtool_sees_five() -> None:
    assert sum(len(conditions) * seeds * 3 for conditions, seeds in weeks.PLAN) >= 200
    assert len(weeks.SAMPLED) >= 5


def randomized(seed: int) -> list[Series]:
    """Two processes and a canary, of which some things go wrong at random."""
    random = np.random.default_rng(seed)
    size = 4 * HOUR
    where = {"environment": "e", "issuer": "i"}
    usual = float(random.choice([0.05, 1.0, 30.0]))
    series = []
    for instance in ("1", "2"):
        target = {"job": "a", "instance": instance}
        born = int(random.integers(0, size // 2))
        for reason, per_step in (
            ("", usual),
            ("key_unavailable", usual * 0.004),
            ("unknown_kid", usual * 0.1),
            ("wrong_audience", usual * 0.1),
        ):
            labels = {**where, **target, "result": FAILURE if reason else SUCCESS, "reason": reason}
            values = counter(random, size, per_step)
            values[:born] = NAN
            series.append(Series(VERIFICATION, labels, values))
        began = np.full(size, NAN)
        began[born:] = born * STEP - random.integers(0, 120)  # some are too old to be young
        series.append(Series(PROCESS, target, began))
    canary = {**where, "job": "c", "instance": "c", "resource": "orders"}
    failing = random.choice([0, 0, 0, 0.02, 0.3, 0.9], size // 20 + 1).repeat(20)[:size]
    failed = random.binomial(STEP, failing * (random.random(size) < 0.5), size)
    for result, counts in ((SUCCESS, STEP - failed), (FAILURE, failed)):
        series.append(Series(CANARY, {**canary, "result": result}, np.cumsum(counts).astype(float)))
    return series


def counter(random: np.random.Generator, size: int, per_step: float) -> Array:
    """Begins late, is reset now and then, and has gaps, some longer than anybody looks back."""
    events = random.poisson(per_step * random.choice([0, 1, 3], size // 20 + 1).repeat(20)[:size])
    lives = np.split(events, np.sort(random.integers(1, size, size // 200 + 1)))
    values = np.concatenate([np.cumsum(life) for life in lives]).astype(float)
    for gap in random.integers(0, size, size // 100 + 1):
        values[gap : gap + random.choice([1, 3, 10, 30])] = NAN
    values[: random.integers(0, size // 8)] = NAN
    return values
