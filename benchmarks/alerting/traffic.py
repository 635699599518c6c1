"""Simulated weeks of a verifier on two pods: what truly happened, and the counters that Prometheus scrapes of it.

Requests arrive as a Poisson process. A labelled counter appears with its first event, as in client libraries, begins
anew with its process, and has no sample where a scrape failed. The canary's own calls are left out of the verifiers'
counters: else no service that has a canary would have little traffic.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jwtdrill.catalog import metrics
from jwtdrill.catalog.reasons import Reason
from jwtdrill.observe.timing import SCRAPE

Array = NDArray[np.float64]
STEP = int(SCRAPE.total_seconds())
MINUTE, HOUR, DAY = 60 // STEP, 3600 // STEP, 86400 // STEP  # in steps
WEEK = 7 * DAY
PROCESS = "process_start_time_seconds"
VERIFICATION, CANARY = metrics.VERIFICATION.name, metrics.CANARY.name
SUCCESS, FAILURE = "success", "failure"
_PODS = 2
_CALLS = STEP  # of the canary in a step, one a second
_FLOOD = 50.0  # forged tokens a second
_STORM = 2.0  # expired tokens for each good one
_MISSED = 0.001  # share of scrapes that fail where processes restart
_OLD = 86400.0  # age of the first processes when the week begins, in seconds


@dataclass(frozen=True)
class Outage:
    """The requests of the steps from `begin` until before `end` fail with probability `depth`."""

    begin: int
    end: int
    depth: float


@dataclass(frozen=True)
class Condition:
    """What a week is like.

    failing: share of requests that fail at all times; retried: how often each of them comes again and fails again;
    mistaken: share that clients get wrong; floods of forged tokens, and storms of expired ones, last `noise` hours
    twice a week; hiccup: calls of the canary that fail amid each; outages: hours that each lasts; reason: of refusals
    in outages.
    """

    name: str
    failing: float = 0.0002
    retried: int = 0
    mistaken: float = 0.0
    flood: bool = False
    storm: bool = False
    noise: float = 1.0
    hiccup: int = 0
    restarts: bool = False
    depth: float = 0.0
    outages: tuple[float, ...] = ()
    reason: Reason = Reason.KEY_UNAVAILABLE


@dataclass(frozen=True)
class Series:
    """A counter's values, scrape by scrape; NaN where there is no sample."""

    metric: str
    labels: dict[str, str]
    values: Array


@dataclass(frozen=True)
class Week:
    """bad, total: the requests of each step that the service failed, and all but those that clients got wrong."""

    shape: str
    condition: Condition
    series: list[Series]
    bad: Array
    total: Array
    outages: list[Outage] = field(default_factory=list)


def _low(_: np.random.Generator) -> Array:
    return np.full(WEEK, 13 / 3600)


def _diurnal(_: np.random.Generator) -> Array:
    """Ten a second at noon, and next to nobody around midnight."""
    return 10 * ((1 - np.cos(2 * np.pi * np.arange(WEEK) / DAY)) / 2) ** 3


def _bursty(random: np.random.Generator) -> Array:
    """Three a minute, and every three hours or so up to 20 a second for up to 20 minutes."""
    rate = np.full(WEEK, 0.05)
    for begin in random.integers(0, WEEK, size=56):
        rate[begin : begin + random.integers(2 * MINUTE, 20 * MINUTE)] = random.uniform(5, 20)
    return rate


SHAPES: dict[str, Callable[[np.random.Generator], Array]] = {"low": _low, "diurnal": _diurnal, "bursty": _bursty}


def week(shape: str, condition: Condition, seed: int) -> Week:
    """The same for the same arguments."""
    random = np.random.default_rng([seed, zlib.crc32(f"{shape} {condition}".encode())])
    rate = SHAPES[shape](random)
    begins = [int((1 + 3 * number + random.uniform(0, 1.5)) * DAY) for number in range(2)]
    outages = [
        Outage(begin, begin + int(hours * HOUR), condition.depth)
        for begin, hours in zip(begins, condition.outages, strict=False)
    ]
    failing = np.full(WEEK, condition.failing)
    for outage in outages:
        failing[outage.begin : outage.end] = outage.depth
    noisy = np.zeros(WEEK, dtype=bool)
    for begin in begins:
        # A quarter of it before an outage, which it hides if anything does.
        start = begin - int(condition.noise * HOUR / 4)
        noisy[start : start + int(condition.noise * HOUR)] = True
    series: list[Series] = []
    bad, total = np.zeros(WEEK), np.zeros(WEEK)
    for pod in range(_PODS):
        lives = _lives(random, pod, condition.restarts)
        events = _events(random, rate / _PODS, failing, noisy, condition, outages)
        up = np.zeros(WEEK, dtype=bool)
        for _, begin, end in lives:
            up[begin:end] = True
        events = {key: counts * up for key, counts in events.items()}
        failed = sum((counts for (blamed, _), counts in events.items() if blamed), np.zeros(WEEK))
        bad += failed
        total += failed + events[False, ""]
        series += _scraped(random, events, lives, _MISSED if condition.restarts else 0.0)
    return Week(shape, condition, [*series, *_canary(random, failing, begins, condition)], bad, total, outages)


def _events(
    random: np.random.Generator,
    rate: Array,
    failing: Array,
    noisy: NDArray[np.bool_],
    condition: Condition,
    outages: list[Outage],
) -> dict[tuple[bool, str], Array]:
    """Of each step, by whether the service is to blame, and by reason; of success it is empty."""
    arrived = random.poisson(rate * STEP)
    failed = random.binomial(arrived, failing)
    mistaken = random.binomial(arrived - failed, condition.mistaken)
    amid = np.zeros(WEEK, dtype=bool)
    for outage in outages:
        amid[outage.begin : outage.end] = True
    events: dict[tuple[bool, str], Array] = {
        (False, ""): (arrived - failed - mistaken).astype(float),
        (False, Reason.WRONG_AUDIENCE): mistaken.astype(float),
        (True, Reason.KEY_UNAVAILABLE): np.where(amid, 0, failed * (1.0 + condition.retried)),
    }
    blamed = events.setdefault((True, condition.reason), np.zeros(WEEK))
    blamed += np.where(amid, failed, 0)
    if condition.flood:
        for reason in (Reason.BAD_SIGNATURE, Reason.UNKNOWN_KID):
            events[False, reason] = random.poisson(noisy * (_FLOOD * STEP / 2 / _PODS)).astype(float)
    if condition.storm:
        events[False, Reason.EXPIRED] = random.poisson(noisy * rate * _STORM * STEP).astype(float)
    return events


def _lives(random: np.random.Generator, pod: int, restarts: bool) -> list[tuple[str, int, int]]:
    """The pod's processes: instance, first step, and the one after the last.

    Three times a week a rollout brings another instance, and four times a process restarts in its place.
    """
    lives, begin, generation = [], 0, 0
    times = sorted(random.choice(WEEK, size=7, replace=False)) if restarts else []
    rollouts = set(random.choice(7, size=3, replace=False)) if restarts else set()
    for number, end in enumerate(times):
        lives.append((f"{pod}-{generation}", begin, int(end)))
        generation += number in rollouts
        begin = int(end) + 2  # half a minute later
    return [*lives, (f"{pod}-{generation}", begin, WEEK)]


def _scraped(
    random: np.random.Generator,
    events: dict[tuple[bool, str], Array],
    lives: list[tuple[str, int, int]],
    missed: float,
) -> list[Series]:
    by_reason: dict[str, Array] = {}
    for (_, reason), counts in events.items():
        by_reason[reason] = by_reason.get(reason, np.zeros(WEEK)) + counts
    lost = random.random(WEEK) < missed
    found = []
    for instance in dict.fromkeys(name for name, _, _ in lives):
        own = [(begin, end) for name, begin, end in lives if name == instance]
        target = {"job": "verifier", "instance": instance}
        started = np.full(WEEK, np.nan)
        for begin, end in own:
            started[begin:end] = begin * STEP - 5.0 if begin else -_OLD
        started[lost] = np.nan
        found.append(Series(PROCESS, target, started))
        for reason, counts in by_reason.items():
            values = np.full(WEEK, np.nan)
            for begin, end in own:
                counter = np.cumsum(counts[begin:end])
                values[begin:end] = np.where(counter > 0, counter, np.nan)
            values[lost] = np.nan
            if not np.isnan(values).all():
                labels = {**_WHERE, **target, "result": FAILURE if reason else SUCCESS, "reason": reason}
                found.append(Series(VERIFICATION, labels, values))
    return found


_WHERE = {"environment": "production", "issuer": "https://issuer.example"}


def _canary(random: np.random.Generator, failing: Array, begins: list[int], condition: Condition) -> list[Series]:
    """One call a second, which fails as others do."""
    failed = random.binomial(_CALLS, failing)
    if condition.hiccup:
        for begin in begins:
            failed[begin] = condition.hiccup
    target = {**_WHERE, "job": "canary", "instance": "canary", "resource": "orders"}
    return [
        Series(CANARY, {**target, "result": result}, np.cumsum(counts).astype(float))
        for result, counts in ((SUCCESS, _CALLS - failed), (FAILURE, failed))
    ]
