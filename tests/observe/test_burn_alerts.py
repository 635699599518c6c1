"""Every tier of every objective's alert fires at the step expected, just does not, and resolves: in promtool, unscaled.

Each scene is an issuer of its own. All is well until `begin`, with ten events a second; then so many bad ones fall
between two scrapes that the long window burns a little faster than the tier's factor, or a little slower.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.observe.promtool import STEP, Check, Counter, firing, run

from jwtdrill.catalog.metrics import Kind
from jwtdrill.catalog.objectives import BurnTier, Indicator, Objective, objectives
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale, window_name

HOUR, DAY = 3600, 86400
PER_STEP = 150
GUARDED = {(o.id, tier.name): (o, tier) for o in objectives() if o.guarded for tier in o.burn_tiers}
VERIFICATION = next(o for o in objectives() if o.id == "verification")
CHANGED = {
    "99% in 7d": replace(VERIFICATION, objective=0.99, period_days=7),
    "99.95% in 28d": replace(VERIFICATION, objective=0.9995, period_days=28),
}
VARIANTS = {(name, tier.name): (o, tier) for name, o in CHANGED.items() for tier in o.burn_tiers}
_CAUSE = {
    Indicator.VERIFICATION_SUCCESS: 'reason="key_unavailable"',
    Indicator.ISSUANCE_SUCCESS: 'error="server_error"',
    Indicator.INTROSPECTION_SUCCESS: 'error="server_error"',
    Indicator.CANARY_SUCCESS: 'resource="orders"',
}


@dataclass(frozen=True)
class Timed:
    """An objective's tier and its scenes: series, and what must be true when. Lengths in seconds."""

    objective: Objective
    tier: BurnTier

    @property
    def long(self) -> float:
        return self.tier.long.total_seconds()

    @property
    def short(self) -> float:
        return self.tier.short.total_seconds()

    @property
    def hold(self) -> float:
        return self.tier.hold.total_seconds()

    @property
    def share(self) -> float:
        """Of bad events, at which a window burns as fast as the tier's factor."""
        return self.tier.factor(self.objective.period) * self.objective.budget

    @property
    def unit(self) -> float:
        """Between the points that a sum over the long window is made of."""
        return STEP if self.long < DAY else 300

    @property
    def begin(self) -> float:
        """After enough points for edges not to matter, and for the burn to be reachable at all."""
        least = max(50 * self.unit, HOUR, 1.5 * self.share * self.long, self.long + HOUR / 4 if self.whole else 0)
        return 300 * (least // 300 + 1)

    @property
    def whole(self) -> bool:
        """Whether the long window is short enough to be seen whole in seconds of promtool."""
        return self.long < DAY

    @property
    def end(self) -> float:
        return self.begin + 1.5 * self.short + self.hold + HOUR / 2

    def needed(self, known: float) -> float:
        """Bad events at once, under which the long window burns as fast as the factor, with so many seconds known."""
        points = self.long / self.unit
        seen = min(known / self.unit, points)
        missing_was_good = self.share * points
        return missing_was_good * PER_STEP * self.unit / STEP * seen / (seen - missing_was_good)

    def scene(
        self, issuer: str, bursts: dict[float, float], after: float = 0, usual: float = PER_STEP, born: float = 0
    ) -> list[Counter]:
        """Good and bad events of that issuer.

        bursts: bad ones, at so many seconds from `begin`. after: the share of bad ones since `begin`. usual: events in
        each step. born: when its counters begin.
        """
        good, bad = self._counters(issuer)
        steps = range(round(born / STEP) + 1, round(self.end / STEP) + 1)
        for counter in (good, bad):
            counter.values[:0] = [None] * round(born / STEP)
        for step in steps:
            since = step * STEP - self.begin
            failing = after if since > 0 else 0
            good.jump(usual * (1 - failing))
            bad.jump(usual * failing + bursts.get(since, 0))
        if not self.objective.indicator.is_latency:
            return [good, bad]
        total = [g if b is None else g + b for g, b in zip(good.values, bad.values, strict=True)]  # type: ignore[operator]
        return [good, Counter(bad.labels, total)]

    def _counters(self, issuer: str) -> tuple[Counter, Counter]:
        metric = self.objective.indicator.metric
        assert metric is not None
        labels = f'environment="staging", issuer="{issuer}", instance="{issuer}"'
        if metric.kind is Kind.HISTOGRAM:
            labels += ', result="success"'
            le = f'le="{self.objective.threshold}"'
            return Counter(f"{metric.name}_bucket{{{labels}, {le}}}", [0]), Counter(
                f"{metric.name}_count{{{labels}}}", [0]
            )
        cause = _CAUSE[self.objective.indicator]
        good = cause if "resource" in cause else re.sub('".*"', '""', cause)
        return (
            Counter(f'{metric.name}{{{labels}, {good}, result="success"}}', [0]),
            Counter(f'{metric.name}{{{labels}, {cause}, result="failure"}}', [0]),
        )

    def scenes(self) -> dict[str, tuple[list[Counter], dict[float, int]]]:
        """By issuer: the series, and seconds after `begin` to how many alerts fire then."""
        few, lasts = self.objective.minimum_bad_events, self.short + STEP
        never = dict.fromkeys((-STEP, 0, STEP, 60, self.hold, self.hold + STEP, self.short, lasts), 0)
        fires = {-STEP: 0, self.hold - STEP: 0, self.hold: 1}
        resolves = {**fires, self.short: 1, lasts: 0}
        beyond = round(1.4 * self.short / STEP) * STEP + self.hold
        needed = self.needed(self.begin)
        # Before it is so old no burn would be enough.
        young = STEP * round(max(10 * self.unit, 1.5 * self.share * self.long) / STEP)
        found = {
            "over": (self.scene("over", {0: 1.03 * needed}), resolves),
            "under": (self.scene("under", {0: 0.97 * self.needed(self.begin + lasts)}), never),
            "falls": (self.scene("falls", {0: 1.5 * needed}, 0.95 * self.share), {**resolves, beyond: 0}),
            "goes on": (self.scene("goes on", {0: 1.5 * needed}, 1.05 * self.share), {**fires, beyond: 1}),
            "enough": (self.scene("enough", {0: few}, usual=0), fires),
            "too few": (self.scene("too few", {0: few - 1}, usual=0), never),
        }
        # After an outage so few events that a bad one burns the short window: one is none, two are, and half of all is.
        steps, exact = self.short / STEP, 1024  # parts of an event, of which promtool reads the sums exactly
        quiet = round(0.5 / self.share / steps * exact) / exact
        afterwards = [("one later", quiet, 1, 0), ("two later", quiet, 2, 1)]
        if self.whole and self.share < 0.4:
            some, more = (round(good / (steps + 1) * exact) / exact for good in (0.98, 1.06))
            afterwards += [("half later", some, 1, 1), ("less than half later", more, 1, 0)]
        later = round(1.3 * self.short / STEP) * STEP
        for name, usual, errors, count in afterwards:
            outage = max(round(1.5 * needed * usual / PER_STEP), few)
            again = {self.hold: 1, lasts: 0, later + self.hold: count}
            found[name] = (self.scene(name, {0: outage, later: errors}, usual=usual), again)
        if self.whole:
            within, before = self.hold + 2 * STEP - self.long, -2 * STEP - self.long
            both = (0.6 * needed, 0.45 * needed)
            found |= {
                "early": (self.scene("early", {within: both[0], 0: both[1]}), {self.hold: 1}),
                "too early": (self.scene("too early", {before: both[0], 0: both[1]}), never),
                "one early": (
                    self.scene("one early", {within: 1, 0: few - 1}, usual=0),
                    {self.hold: 1},
                ),
                "one too early": (self.scene("one too early", {before: 1, 0: few - 1}, usual=0), never),
            }
        if not self.objective.indicator.is_latency:  # whose budget a service so young cannot burn fast enough
            born, later = self.begin - young, young + self.hold
            found["young"] = (self.scene("young", {0: 1.03 * self.needed(young)}, born=born), {self.hold: 1})
            found["too young"] = (self.scene("too young", {0: 0.97 * self.needed(later)}, born=born), {self.hold: 0})
        return found

    def rules(self) -> dict[str, Any]:
        """The tier's alert, and what is recorded for it."""
        groups = rule_file([self.objective], TimeScale())["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        wanted = {r["expr"] for r in rules if r.get("labels", {}).get("tier") == self.tier.name}
        while more := {r["expr"] for r in rules if any(r.get("record", "none") in expr for expr in wanted)} - wanted:
            wanted |= more
        for group in groups:
            group["rules"] = [r for r in group["rules"] if r["expr"] in wanted]
        return {"groups": [group for group in groups if group["rules"]]}

    def problem(self, rules: dict[str, Any], folder: Path) -> str:
        """What promtool finds wrong."""
        series: list[Counter] = []
        checks: list[Check] = []
        for issuer, (counters, expected) in self.scenes().items():
            series += counters
            labels = {"tier": self.tier.name, "severity": self.tier.severity, "issuer": issuer}
            checks += [firing(self.begin + after, count, **labels) for after, count in expected.items()]
        return run(rules, folder, series, checks)


def parameters(cases: dict[tuple[str, str], tuple[Objective, BurnTier]]) -> list[Any]:
    """Those of long windows take ten seconds each: slow but for the one objective that all tiers guard."""
    return [
        pytest.param(
            Timed(*case),
            id=", ".join(name),
            marks=[pytest.mark.slow] if case[1].long.days and name[0] != VERIFICATION.id else [],
        )
        for name, case in cases.items()
    ]


@pytest.mark.parametrize("timed", parameters(GUARDED))
def test_it_fires_at_the_step_just_does_not_and_resolves(timed: Timed, tmp_path: Path) -> None:
    assert not timed.problem(timed.rules(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("timed", parameters(VARIANTS))
def test_so_it_does_for_other_objectives_and_periods(timed: Timed, tmp_path: Path) -> None:
    assert not timed.problem(timed.rules(), tmp_path)


_NUMBER = re.compile(r"(?<![\w.:\[\"{])\d+(?:\.\d+)?(?![\w.:\"\]])")


def mutants(timed: Timed, rules: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """The rules with one number of theirs, or one window, a tenth more or less.

    Those of the alert, of its burn rates, and of what counts for none in a short window.
    """
    for group in rules["groups"]:
        for rule in group["rules"]:
            name = rule.get("alert") or rule["record"]
            if ":burn_rate:" not in name and ":burning_now:" not in name and "alert" not in rule:
                continue
            expr = rule["expr"]
            for found in _NUMBER.finditer(expr):
                if found[0] == "0":
                    continue
                few = float(found[0]) != int(float(found[0]))
                for factor in (0.9, 1.1) if few else (0.79, 1.21):
                    if window_name(timed.tier.short) in name and not few and factor < 1:
                        continue  # a service younger than the short window burns the long one more slowly still
                    changed = f"{expr[: found.start()]}{float(found[0]) * factor:g}{expr[found.end() :]}"
                    yield f"{name}: {found[0]} by {factor}", rule, "expr", changed
            for window in set(re.findall(r"\[(\d+[mh])(?=\])", expr)):  # days are too long to be seen whole
                seconds = int(window[:-1]) * {"m": 60, "h": 3600, "d": 86400}[window[-1]]
                for factor in (0.8, 1.25):
                    changed = re.sub(rf"\[{window}(?=[\]:])", f"[{seconds * factor:.0f}s", expr)
                    yield f"{name}: {window} by {factor}", rule, "expr", changed
            if "alert" in rule:
                yield f"{name}: for", rule, "for", "10m" if "for" in rule else "1m"


@pytest.mark.mutants
@pytest.mark.parametrize(
    "timed", parameters({k: v for k, v in GUARDED.items() if k[0] == "verification" and not v[1].long.days})
)
def test_a_changed_threshold_or_window_is_noticed(timed: Timed, tmp_path: Path) -> None:
    rules = timed.rules()
    survivors = []
    for what, rule, key, value in mutants(timed, rules):
        former = rule.get(key)
        rule[key] = value
        if not timed.problem(rules, tmp_path):
            survivors.append(what)
        if former is None:
            del rule[key]
        else:
            rule[key] = former
    assert not survivors
