"""A build with a time scale divides every window, and none below what scrapes can carry."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.catalog.promql import promql_duration
from jwtdrill.errors import BadInputError
from jwtdrill.observe.timing import TimeScale, window_name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (90, "90s"), (3600, "1h"), (259200, "3d"), (5400, "90m"), (1.5, "1500ms")],
)
def test_durations_are_exact_and_short(seconds: float, text: str) -> None:
    assert promql_duration(seconds) == text


def test_real_windows_are_left_alone() -> None:
    real = TimeScale()
    assert real.interval == 15
    assert real.window(timedelta(hours=1)) == "1h"
    assert real.expression("rate(x[5m]) > 5") == "rate(x[5m]) > 5"


def test_sixty_makes_hours_minutes() -> None:
    fast = TimeScale(60)
    assert (fast.interval, fast.window(timedelta(hours=6)), fast.hold(timedelta(minutes=5))) == (1, "6m", "5s")
    assert fast.window(timedelta(minutes=1)) == "4s"  # four scrapes, not one second
    assert fast.expression("a[5m] unless b[1d]") == "a[5s] unless b[24m]"
    assert window_name(timedelta(hours=1)) == "1h"  # a series keeps its name


@given(st.floats(1, 10000), st.integers(1, 30 * 86400))
def test_no_window_is_shorter_than_four_scrapes(factor: float, seconds: int) -> None:
    scale = TimeScale(factor)
    text = scale.window(timedelta(seconds=seconds))
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    unit = text.lstrip("0123456789")
    assert int(text.removesuffix(unit)) * units[unit] >= 4 * scale.interval - 0.001


@pytest.mark.parametrize("factor", [0, 0.5, -1, 1e9, float("inf"), float("nan")])
def test_a_senseless_scale_is_refused(factor: float) -> None:
    with pytest.raises(BadInputError, match="between 1 and 10000"):
        TimeScale(factor)
