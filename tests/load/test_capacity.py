"""The search for the highest rate that holds, against targets whose limit is known."""

import random

import pytest

from jwtdrill.catalog.objectives import objectives
from jwtdrill.load.capacity import Capacity, Limit, Trial, search, trial_seconds
from jwtdrill.load.verdict import Outcome


class Target:
    """Holds up to `limit`, with some luck within `blur` of it; the harness is fit up to `fit`."""

    def __init__(self, limit: float, blur: float = 0.0, fit: float = 1e9, seed: int = 1, allowed: int = 1000) -> None:
        self.limit, self.blur, self.fit, self.allowed = limit, blur, fit, allowed
        self.dice = random.Random(seed)
        self.tried: list[float] = []

    def measure(self, rate: float) -> Trial | None:
        if len(self.tried) == self.allowed:
            return None
        self.tried.append(rate)
        if rate > self.fit:
            return Trial(rate, 8, Outcome.INVALID, 0, problems=["requests started late"])
        held = rate <= self.limit * (1 + self.blur * self.dice.uniform(-1, 1))
        return Trial(rate, 8, Outcome.HELD if held else Outcome.VIOLATED, int(8 * rate), cpu=8 * rate / 1000)


def find(target: Target, precision: float = 0.1, first: float = 50, most: float = 100_000) -> Capacity:
    return search(target.measure, first=first, most=most, precision=precision)


@pytest.mark.parametrize("limit", [3, 49, 50, 51, 777, 12_345])
@pytest.mark.parametrize("precision", [0.05, 0.3])
def test_the_limit_lies_in_the_interval_and_the_interval_is_as_narrow_as_asked(limit: float, precision: float) -> None:
    found = find(Target(limit), precision)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= limit < found.high <= found.low * (1 + precision) * 1.001
    assert found.limit is Limit.TARGET
    assert found.per_core == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_luck_near_the_limit_widens_the_interval_and_never_moves_it_away(seed: int) -> None:
    found = find(Target(1000, blur=0.2, seed=seed))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 1200
    assert found.high >= 800
    best = [trial for trial in found.trials if trial.rate == max(t.rate for t in found.trials if t.rate <= found.low)]
    assert all(trial.outcome is Outcome.HELD for trial in best)


def test_it_steps_up_then_bisects_and_tries_the_best_again() -> None:
    target = Target(300)
    found = find(target, precision=0.2)
    assert target.tried[:4] == [50, 100, 200, 400]
    assert target.tried.count(found.low) == 2


def test_where_the_harness_is_the_limit_it_says_so() -> None:
    found = find(Target(10_000, fit=500))
    assert (found.limit, found.low, found.high) == (Limit.HARNESS, 400, None)
    assert found.why == "requests started late"


def test_where_the_file_is_the_limit_it_says_so() -> None:
    found = find(Target(10_000), most=500)
    assert (found.limit, found.low, found.why) == (Limit.FILE, 500, "rate = 500 under [limits]")
    found = find(Target(10_000, allowed=3))
    assert (found.limit, found.low) == (Limit.FILE, 200)


def test_a_target_that_holds_nothing_has_no_capacity() -> None:
    found = find(Target(0))
    assert (found.low, found.per_core) == (None, None)
    assert found.high is not None
    assert found.high < 2


def test_it_ends() -> None:
    assert len(find(Target(1000, blur=0.9, seed=3), precision=0.01).trials) <= 40


def test_a_trial_lasts_until_every_objective_is_judged_by_enough_answers() -> None:
    assert trial_seconds(10_000, objectives()) == 8
    assert trial_seconds(10, objectives()) == pytest.approx(300)  # 3,000 answers for 99.9 %
