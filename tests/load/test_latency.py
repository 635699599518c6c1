"""Figures read off a histogram as an array are the library's own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.load.latency import at_rank, new_histogram, quantile, total_seconds, within

VALUES = st.lists(st.integers(1, 60_000_000), min_size=1, max_size=50)


@given(VALUES, st.integers(1, 1000))
def test_a_quantile_is_the_librarys(values: list[int], thousandths: int) -> None:
    histogram = new_histogram()
    for value in values:
        histogram.record_value(value)
    rank = math.ceil(thousandths / 1000 * len(values))
    expected = sorted(values)[rank - 1]
    assert histogram.values_are_equivalent(int(quantile(histogram, thousandths / 1000)), expected)
    assert quantile(histogram, thousandths / 1000) == histogram.get_value_at_percentile(100 * rank / len(values))


@given(VALUES, st.integers(1, 60_000_000))
def test_within_counts_what_is_no_more(values: list[int], bound: int) -> None:
    histogram = new_histogram()
    for value in values:
        histogram.record_value(value)
    end = histogram.get_highest_equivalent_value(bound)
    assert within(histogram, bound) == sum(value <= end for value in values)


@given(VALUES)
def test_the_sum_is_right_to_three_digits(values: list[int]) -> None:
    histogram = new_histogram()
    for value in values:
        histogram.record_value(value)
    assert total_seconds(histogram) == pytest.approx(sum(values) / 1e6, rel=0.001)


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile(new_histogram(), 0.5) == at_rank(new_histogram(), 1) == 0
    assert within(new_histogram(), 1e6) == 0
