"""PromQL's functions over ranges in numpy, for series with one value a step; NaN where there is none.

A range holds both its ends, as in Prometheus 2.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerting.traffic import STEP, Array

Steps = NDArray[np.intp]
_EXTRAPOLATED = 1.1  # gaps between samples within which `rate` takes a series to go on to the end of the range


def steps(seconds: float) -> int:
    """From one end of such a range to the other."""
    return round(seconds / STEP)


def running(values: Array) -> Array:
    """Sums of all that there is before each step, and of all."""
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(np.nan_to_num(values), axis=-1)], axis=-1)


def total(values: Array, back: int) -> Array:
    """`sum_over_time`. Rounded, for what leaves the window must leave nothing behind."""
    return np.where(count(values, back) > 0, np.round(_between(running(values), back), 6), np.nan)


def count(values: Array, back: int) -> Array:
    """`count_over_time`, or 0."""
    return _between(running((~np.isnan(values)).astype(float)), back)


def last(values: Array, back: int) -> Array:
    """`last_over_time`."""
    at = last_sample(values)
    old = np.arange(values.shape[-1]) - at > back
    return np.where((at < 0) | old, np.nan, np.take_along_axis(values, np.maximum(at, 0), axis=-1))


def last_sample(values: Array) -> Steps:
    """The step of the last sample up to each step; -1: none."""
    here = np.where(np.isnan(values), -1, np.arange(values.shape[-1]))
    return np.asarray(np.maximum.accumulate(here, axis=-1))


def next_sample(values: Array) -> Steps:
    """The step of the first sample from each step on; the number of steps: none."""
    return np.asarray(values.shape[-1] - 1 - last_sample(values[..., ::-1])[..., ::-1])


def held(true: NDArray[np.bool_], hold: int) -> NDArray[np.bool_]:
    """Where it has been true for so many steps: a rule's `for`."""
    step = np.arange(true.size)
    false = np.maximum.accumulate(np.where(true, -1, step))
    return true & (step - false > hold)


def rate(values: Array, seconds: float) -> Array:
    """`rate` of counters, one a row: extrapolated to the ends of the range, but not below zero.

    After extrapolatedRate in Prometheus 2.42's promql/functions.go.
    """
    size, back = values.shape[-1], steps(seconds)
    step = np.arange(size)
    first = next_sample(values)[..., np.maximum(step - back, 0)]
    end = last_sample(values)
    enough = (end > first) & (first < size)
    first, end = np.where(enough, first, 0), np.where(enough, end, 1)
    seen, resets = count(values, size), _resets(values)
    samples = np.maximum(_at(seen, end) - _at(seen, first) + 1, 2)
    begin = _at(values, first)
    increase = _at(values, end) - begin + _at(resets, end) - _at(resets, first)
    sampled = (end - first) * float(STEP)
    gap = sampled / (samples - 1)
    to_start, to_end = (first - step + back) * float(STEP), (step - end) * float(STEP)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_zero = np.where((increase > 0) & (begin >= 0), sampled * begin / increase, np.inf)
    to_start = np.minimum(to_start, to_zero)
    near = gap * _EXTRAPOLATED
    lasts = sampled + np.where(to_start < near, to_start, gap / 2) + np.where(to_end < near, to_end, gap / 2)
    return np.where(enough, increase * (lasts / sampled / seconds), np.nan)


def _at(values: Array, where: Steps) -> Array:
    return np.take_along_axis(values, where, axis=-1)


def _resets(values: Array) -> Array:
    """What all resets up to each step have taken from the counter."""
    before = np.concatenate([np.full((*values.shape[:-1], 1), np.nan), last(values, values.shape[-1])[..., :-1]], -1)
    return np.cumsum(np.where(values < before, before, 0), axis=-1)


def _between(sums: Array, back: int) -> Array:
    """Of each step and `back` steps before it."""
    size = sums.shape[-1] - 1
    return np.asarray(sums[..., 1:] - sums[..., np.maximum(np.arange(size) - back, 0)])
