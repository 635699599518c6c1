"""Requests arrive when the rate says, as a pure function of elapsed time, however many processes share them."""

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.errors import BadInputError
from jwtdrill.load.arrivals import Rate, Segment, Share, arrivals

SEGMENTS = st.builds(Segment, st.floats(0.5, 100), st.floats(0, 5000), st.floats(0, 5000))
RATES = st.builds(Rate, st.lists(SEGMENTS, min_size=1, max_size=4).map(tuple), st.booleans()).filter(
    lambda rate: rate.peak > 1
)


def until(times: itertools.count | object, end: float) -> list[float]:
    return list(itertools.takewhile(lambda at: at < end, times))  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("text", "at", "rate"),
    [
        ("200", 0, 200),
        ("200", 9999, 200),
        ("50-500/60s", 0, 50),
        ("50-500/60s", 30, 275),
        ("50-500/1m", 61, 500),
        ("0-100/10s", 5, 50),
        ("100, 200, 400 / 30s", 29, 100),
        ("100,200,400/30s", 31, 200),
        ("100,200,400/30s", 1000, 400),
        ("100+900/5s@60s", 54, 100),
        ("100+900/5s@60s", 56, 1000),
        ("100+900/5s@60s", 61, 100),
        ("100+900/5s@60s", 3600 * 5 + 56, 1000),
        ("0.5", 10, 0.5),
    ],
)
def test_a_rate_is_what_was_written(text: str, at: float, rate: float) -> None:
    assert Rate.parse(text).at(at) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text", ["0", "-5", "fast", "10/5s", "1,2", "10-20", "1-2/0s", "100+1/60s@5s", "0,0/5s", "1e3", "nan"]
)
def test_what_is_no_rate_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadInputError, match=r"--rate .*(is no rate|must be more than 0)"):
        Rate.parse(text)


@given(RATES, st.floats(0, 500))
def test_the_time_of_an_arrival_is_the_inverse_of_how_many_are_due(rate: Rate, elapsed: float) -> None:
    due = rate.due(elapsed)
    when = rate.when(due)
    if math.isfinite(when):
        assert rate.due(when) == pytest.approx(due, rel=1e-9, abs=1e-6)
        assert when <= elapsed + 1e-6 or rate.due(elapsed) == pytest.approx(rate.due(when), abs=1e-6)


@given(RATES, st.lists(st.floats(0, 300), min_size=2, max_size=8))
def test_ever_more_are_due(rate: Rate, moments: list[float]) -> None:
    due = [rate.due(at) for at in sorted(moments)]
    assert due == sorted(due)


@given(st.sampled_from(["200", "50-500/20s", "10,300/5s", "20+200/1s@5s"]), st.integers(1, 5))
def test_the_shares_of_all_processes_interlock_to_the_whole(text: str, processes: int) -> None:
    rate = Rate.parse(text)
    whole = until(arrivals(rate, Share(), 0, None), 30)
    parts = [until(arrivals(rate, Share(index, processes), 0, None), 30) for index in range(processes)]
    assert sorted(itertools.chain(*parts)) == whole
    assert len(whole) == math.ceil(rate.due(30))


def test_processes_that_go_on_with_new_shares_send_each_request_once() -> None:
    """Four processes, of which one dies at 7.3 s and its share is handed out at 9.1 s: only its own are missing."""
    rate = Rate.parse("100-400/20s")
    before = [until(arrivals(rate, Share(i, 4), 0, None), 9.1 if i else 7.3) for i in range(4)]
    after = [until(arrivals(rate, Share(i, 3), 9.1, None), 20) for i in range(3)]
    sent = sorted(itertools.chain(*before, *after))
    whole = until(arrivals(rate, Share(), 0, None), 20)
    missing = sorted(set(whole) - set(sent))
    assert len(sent) == len(set(sent))
    assert all(7.3 <= at < 9.1 for at in missing)
    assert len(missing) == pytest.approx((rate.due(9.1) - rate.due(7.3)) / 4, abs=1)


@pytest.mark.parametrize("processes", [1, 3])
def test_poisson_arrivals_have_the_rate_and_the_spread(processes: int) -> None:
    """Counts in equal stretches of a Poisson process vary as much as their mean (index of dispersion 1)."""
    rate = Rate.parse("100")
    times = sorted(
        itertools.chain(
            *(until(arrivals(rate, Share(i, processes), 0, random.Random(i)), 400) for i in range(processes))
        )
    )
    assert len(times) == pytest.approx(40_000, rel=0.02)
    counts = [sum(1 for _ in group) for _, group in itertools.groupby(times, key=int)]
    assert statistics.variance(counts) / statistics.mean(counts) == pytest.approx(1, abs=0.25)


def test_poisson_arrivals_follow_a_rate_that_changes() -> None:
    times = until(arrivals(Rate.parse("10,1000/10s"), Share(), 0, random.Random(7)), 20)
    assert len([at for at in times if at < 10]) == pytest.approx(100, abs=40)
    assert len([at for at in times if at >= 10]) == pytest.approx(10_000, rel=0.05)


def test_the_same_seed_draws_the_same_arrivals() -> None:
    rate = Rate.parse("50")
    one, two, other = (until(arrivals(rate, Share(), 3, random.Random(seed)), 60) for seed in (1, 1, 2))
    assert one == two != other
    assert min(one) > 3


def test_a_rate_that_ends_at_zero_ends_the_arrivals() -> None:
    times = list(itertools.islice(arrivals(Rate.parse("100-0/10s"), Share(), 0, None), 600))
    assert len([at for at in times if at <= 10]) == 501  # the first at once, the last as the rate reaches zero
    assert times[-1] == math.inf
