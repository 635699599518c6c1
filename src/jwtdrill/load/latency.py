"""Reads HdrHistograms as arrays: the library's own loops over 17,408 slots stop the event loop for a millisecond."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

LEAST_MICROSECONDS = 1
MOST_MICROSECONDS = 60_000_000
DIGITS = 3


def new_histogram() -> HdrHistogram:
    """An empty one, from 1 µs to 60 s with three digits."""
    return HdrHistogram(LEAST_MICROSECONDS, MOST_MICROSECONDS, DIGITS)


def quantile(histogram: HdrHistogram, share: float) -> float:
    """The least value, in microseconds, that at least this share of all values does not exceed; 0 of none."""
    return at_rank(histogram, share * histogram.get_total_count())


def at_rank(histogram: HdrHistogram, rank: float) -> float:
    """The value of that rank, from 1, in microseconds: the end of its slot; 0 of none."""
    reached = np.cumsum(_counts(histogram))
    total = int(reached[-1])
    if not total:
        return 0.0
    whole = min(total, max(1, math.ceil(rank - 1e-9)))
    place = int(np.searchsorted(reached, whole))
    value: float = histogram.get_highest_equivalent_value(histogram.get_value_from_index(place))
    return value


def within(histogram: HdrHistogram, most: float) -> int:
    """How many values are no more than so many microseconds."""
    bound = min(int(most), MOST_MICROSECONDS)
    return int(_counts(histogram)[: histogram.get_counts_array_index(bound) + 1].sum())


def total_seconds(histogram: HdrHistogram) -> float:
    """The sum of all values."""
    return float(_counts(histogram) @ _slots()) / 1e6


def _counts(histogram: HdrHistogram) -> npt.NDArray[np.int64]:
    return np.frombuffer(histogram.counts, dtype=np.int64)


@cache
def _slots() -> npt.NDArray[np.float64]:
    """The value in the middle of each slot."""
    histogram = new_histogram()
    starts = [histogram.get_value_from_index(place) for place in range(histogram.counts_len)]
    ends = [histogram.get_highest_equivalent_value(start) for start in starts]
    middles: npt.NDArray[np.float64] = (np.array(starts, dtype=float) + np.array(ends, dtype=float)) / 2
    return middles
