"""Our rules in numpy: jwtdrill.observe's counting, indicators and rules, said a second time.

Lengths and bounds that those modules keep to themselves are repeated here: promtool finds where the two differ.
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerting.traffic import CANARY, PROCESS, STEP, SUCCESS, VERIFICATION, Array, Series
from benchmarks.alerting.windows import count, held, last, running, steps, total
from jwtdrill.catalog.objectives import BurnTier, Objective
from jwtdrill.catalog.reasons import Blame, reasons_blamed_on

Firing = dict[str, NDArray[np.bool_]]  # by tier
_LOOKBACK = steps(300)
_YOUNG = 60.0  # seconds
_CANARY = steps(60)
_USUAL = steps(3600)
_BESIDE, _OUTAGE, _ACCEPTED_LEAST = 1.0 * STEP, 0.5, 0.05
_SPARSE, _SPREAD, _FAILING = 0.25, steps(900), steps(300)
_MORE_THAN_ONE, _HALF = 2.0, 0.5
_REMEMBERED = timedelta(hours=6)
_DAY = timedelta(days=1)
_BY_STEPS = steps(300)  # of long windows


def firing(series: Sequence[Series], objective: Objective) -> Firing:
    """When each tier of the verification objective fires, step by step."""
    bad, events = _events(series)
    return {tier.name: _fires(bad, events, objective, tier) for tier in objective.burn_tiers}


def _fires(bad: Array, events: Array, objective: Objective, tier: BurnTier) -> NDArray[np.bool_]:
    factor = tier.factor(objective.period)
    remembered = steps(min(tier.long, _REMEMBERED).total_seconds())
    true = burn_rate(bad, events, objective, tier.long) > factor
    true &= last(_burning_now(bad, events, objective, tier.short), remembered) > factor
    true &= _over(bad, tier.long)[0] >= objective.minimum_bad_events
    return held(true, steps(tier.hold.total_seconds()))


def burn_rate(bad: Array, events: Array, objective: Objective, window: timedelta) -> Array:
    """How many times faster than the budget allows, with what is missing of the window taken as good."""
    failed, _ = _over(bad, window)
    asked, points = _over(events, window)
    least = window.total_seconds() / (STEP if window < _DAY else STEP * _BY_STEPS)
    with np.errstate(divide="ignore", invalid="ignore"):
        burn = failed / (asked / points) / np.maximum(points, least) / objective.budget
    return np.where(asked > 0, burn, np.nan)


def _burning_now(bad: Array, events: Array, objective: Objective, window: timedelta) -> Array:
    """The same, in which one error among others counts for none."""
    burn, failed = burn_rate(bad, events, objective, window), _over(bad, window)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        burning = (failed >= _MORE_THAN_ONE) | (failed / _over(events, window)[0] >= _HALF)
    return np.where(burning, burn, burn * 0)


def _over(values: Array, window: timedelta) -> tuple[Array, Array]:
    """Sum and number of points over the window: of each step, or in long windows of sums of five minutes."""
    back = steps(window.total_seconds())
    if window < _DAY:
        return total(values, back), count(values, back)
    sums = total(values, _BY_STEPS - 1)[::_BY_STEPS]  # at full five minutes, as in a subquery
    step = np.arange(values.size)
    begin, end = np.maximum(-((back - step) // _BY_STEPS), 0), step // _BY_STEPS + 1
    sampled, points = running(sums), running((~np.isnan(sums)).astype(float))
    number = points[end] - points[begin]
    return np.where(number > 0, np.round(sampled[end] - sampled[begin], 6), np.nan), number


def _events(series: Sequence[Series]) -> tuple[Array, Array]:
    """Bad events and all, of each step."""
    verified = [one for one in series if one.metric == VERIFICATION]
    counts = _counted(verified, series)
    there = ~np.isnan(counts).all(axis=0)

    def of(*reasons: str) -> Array:
        rows = [one.labels["reason"] in reasons for one in verified]
        return _sum(counts[rows])

    good, blamed = of(""), of(*reasons_blamed_on(Blame.SERVICE))
    ambiguous = of(*reasons_blamed_on(Blame.AMBIGUOUS))
    bad = blamed + _burnt(ambiguous, np.where(there, good, np.nan), blamed, _canary_failing(series))
    return np.where(there, bad, np.nan), np.where(there, good + bad, np.nan)


def _burnt(refused: Array, accepted: Array, blamed: Array, failing: Array) -> Array:
    """Ambiguous refusals as far as they burn: what does is itself part of the traffic that is usual afterwards."""
    burnt, most = np.zeros_like(refused), np.zeros_like(refused)
    others = accepted + blamed
    sums, points = running(others), running((~np.isnan(others)).astype(float))
    all_refused, of_late = running(refused), total((failing > 0).astype(float), _FAILING) > 0
    for now in np.flatnonzero((failing > 0) | (of_late & (refused > 0))).tolist():
        begin, spread = max(now - _USUAL, 0), max(now - _SPREAD, 0)
        share = failing[now]
        if share > 0 and not np.isnan(others[now]):
            number = points[now] - points[begin]
            usual = (sums[now] - sums[begin] + burnt[begin:now].sum()) / number if number else 0.0
            users = max(usual, accepted[now] / max(1 - share, _ACCEPTED_LEAST))
            most[now] = (users + _BESIDE * (share >= _OUTAGE)) * share
        if not refused[now]:
            continue
        explained = most[spread : now + 1].sum() / (all_refused[now + 1] - all_refused[spread])
        sparse = refused[now] * min(explained, 1) if explained >= _SPARSE else 0.0
        burnt[now] = max(min(refused[now], most[now]), sparse)
    return burnt


def _canary_failing(series: Sequence[Series]) -> Array:
    """The share of its calls in the last minute that failed."""
    calls = [one for one in series if one.metric == CANARY]
    if not calls:
        return np.full(series[0].values.size, np.nan)
    counts = _counted(calls, series)
    failed = [one.labels["result"] != SUCCESS for one in calls]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = _sum(total(counts[failed], _CANARY)) / _sum(total(counts, _CANARY))
    return np.where(np.isfinite(share), share, np.nan)


def _sum(rows: Array) -> Array:
    return np.asarray(np.nansum(rows, axis=0))


def _counted(counters: Sequence[Series], series: Sequence[Series]) -> Array:
    """Events of each counter since the step before, each once; NaN where nothing is known of them."""
    now = np.array([one.values for one in counters])
    before = _before(now)
    targets = [(one.labels.get("job"), one.labels.get("instance")) for one in counters]
    seen = np.empty_like(now, dtype=bool)
    for target in set(targets):
        rows = [other == target for other in targets]
        seen[rows] = ~np.isnan(before[rows]).all(axis=0) | _young(series, target)
    new = np.where(seen, now, np.nan)
    return np.where(np.isnan(before), new, np.where(now >= before, now - before, now))


def _before(now: Array) -> Array:
    """The last value before this step."""
    return np.concatenate([np.full((now.shape[0], 1), np.nan), last(now, _LOOKBACK)[:, :-1]], axis=1)


def _young(series: Sequence[Series], target: tuple[str | None, str | None]) -> NDArray[np.bool_]:
    """Whether that target's process has just begun."""
    time = np.arange(series[0].values.size) * float(STEP)
    young = np.zeros(time.size, dtype=bool)
    for one in series:
        if one.metric == PROCESS and (one.labels.get("job"), one.labels.get("instance")) == target:
            young |= one.values > time - _YOUNG
    return young
