"""The simulated weeks, and what each set of rules made of them: false pages, missed outages, times to detect."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerting import ours, workbook
from benchmarks.alerting.ours import Firing
from benchmarks.alerting.traffic import HOUR, MINUTE, SHAPES, Condition, Outage, Series, Week, week
from benchmarks.alerting.windows import steps
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.catalog.reasons import Reason

Span = tuple[int, int]  # the first step, and the one after the last

# Healthy at the service: whoever is woken is woken for nothing.
HEALTHY = (
    Condition("0.02 % fail"),
    Condition("0.05 % fail", failing=0.0005),
    Condition("0.02 % fail, and again at two retries", failing=0.0002 / 3, retried=2),
    Condition("clients get 3 % wrong", mistaken=0.03),
    Condition("floods of forged tokens", flood=True),
    Condition("floods of 6 hours", flood=True, noise=6),
    Condition("floods, the canary fails 3 times amid each", flood=True, hiccup=3),
    Condition("storms of expired tokens", storm=True, noise=2),
    Condition("restarts, rollouts, failed scrapes", restarts=True),
)
_SHORT_AND_LONG = {1.0: (1 / 6, 2.0), 0.5: (1 / 6, 2.0), 0.05: (0.5, 6.0), 0.02: (0.5, 6.0)}  # hours, by depth
KEYS, KID, FLOOD = "keys unavailable", "key unknown", "key unknown, amid a flood"
CAUSES = (KEYS, KID, FLOOD)


def _outages(
    cause: str, *, restarts: bool = False, depths: Sequence[float] = tuple(_SHORT_AND_LONG)
) -> list[Condition]:
    reason = Reason.KEY_UNAVAILABLE if cause == KEYS else Reason.UNKNOWN_KID
    return [
        Condition(
            cause,
            depth=depth,
            outages=_SHORT_AND_LONG[depth],
            reason=reason,
            restarts=restarts,
            flood=cause == FLOOD,
        )
        for depth in depths
    ]


# How many weeks there are of each condition in each shape.
PLAN: tuple[tuple[Sequence[Condition], int], ...] = (
    (HEALTHY, 5),
    (_outages(KEYS), 4),
    (_outages(KEYS, restarts=True), 3),
    (_outages(KID), 4),
    (_outages(FLOOD, depths=(1.0, 0.5)), 3),
)
# Shape, condition (of HEALTHY or a cause), and depth of the weeks that promtool sees too.
SAMPLED: tuple[tuple[str, str, float], ...] = (
    ("diurnal", "floods, the canary fails 3 times amid each", 0.0),
    ("bursty", "restarts, rollouts, failed scrapes", 0.0),
    ("low", KEYS, 1.0),
    ("diurnal", KID, 0.05),
    ("bursty", FLOOD, 0.5),
)
_TICKETS = tuple(tier.name for tier in workbook.TIERS if tier.severity is Severity.TICKET)
_MERGED = 5 * MINUTE  # Alertmanager's default group_interval: who fires again within it notifies nobody anew
_RECOVERY = 30 * MINUTE  # the longest short window of a page: until then an outage that is over may still page
_REMEMBERED = 6 * HOUR  # the longest long window of a page: until then it is not forgotten


@dataclass(frozen=True)
class Reach:
    """An outage trips a tier if, in its last `long` steps before its last `hold` ones, the share of bad events is
    greater and there are at least so many: by what truly happened."""

    share: float
    long: int
    hold: int
    least: float


@dataclass(frozen=True)
class Rules:
    """A set of rules by name. pages: of its tiers those that wake somebody."""

    name: str
    firing: Callable[[Sequence[Series], Objective], Firing]
    pages: dict[str, Reach]


@dataclass(frozen=True)
class Seen:
    """What became of one outage. delay: steps until the first page that began in it; None: nobody was told."""

    outage: Outage
    in_reach: bool
    delay: int | None

    @property
    def missed(self) -> bool:
        """Whether a page was due and did not come."""
        return self.in_reach and self.delay is None


@dataclass(frozen=True)
class Judged:
    """One week under one set of rules.

    false: pages outside outages and their recovery, from when until when; again: such in the hours after an outage.
    false_tickets: in a healthy week.
    """

    shape: str
    condition: Condition
    rules: str
    false: list[Span]
    again: list[Span]
    false_tickets: int
    outages: list[Seen]


def rule_sets(objective: Objective) -> list[Rules]:
    """Ours, ours with no more than the workbook's tiers, and the workbook's."""
    own = {
        tier.name: Reach(
            tier.factor(objective.period) * objective.budget,
            steps(tier.long.total_seconds()),
            steps(tier.hold.total_seconds()),
            objective.minimum_bad_events,
        )
        for tier in objective.burn_tiers
        if tier.severity is Severity.PAGE
    }
    plain = {
        tier.name: Reach(tier.factor * objective.budget, steps(tier.long), 0, 1)
        for tier in workbook.TIERS
        if tier.severity is Severity.PAGE
    }
    return [
        Rules("ours", ours.firing, own),
        Rules("ours, the workbook's tiers", ours.firing, {name: own[name] for name in plain}),
        Rules("the workbook's", workbook.firing, plain),
    ]


def all_weeks() -> Iterator[Week]:
    """Each made when its turn comes: all at once would not fit into memory."""
    for conditions, seeds in PLAN:
        for shape in SHAPES:
            for condition in conditions:
                for seed in range(seeds):
                    yield week(shape, condition, seed)


def sampled(seed: int = 0) -> list[Week]:
    """The weeks that promtool sees too."""
    known = {(c.name, c.depth): c for conditions, _ in reversed(PLAN) for c in conditions}
    return [week(shape, known[name, depth], seed) for shape, name, depth in SAMPLED]


def judge(one: Week, objective: Objective, sets: Sequence[Rules]) -> list[Judged]:
    """That week under each set of rules."""
    firing: dict[Callable[[Sequence[Series], Objective], Firing], Firing] = {}
    found = []
    for rules in sets:
        fires = firing.get(rules.firing) or firing.setdefault(rules.firing, rules.firing(one.series, objective))
        pages = episodes(np.logical_or.reduce([fires[name] for name in rules.pages]))
        tickets = np.logical_or.reduce([fires[name] for name in _TICKETS])
        others = [page for page in pages if not _since(page, one.outages, _RECOVERY)]
        again = [page for page in others if _since(page, one.outages, _REMEMBERED)]
        found.append(
            Judged(
                one.shape,
                one.condition,
                rules.name,
                [page for page in others if page not in again],
                again,
                0 if one.outages else len(episodes(tickets)),
                [_seen(one, outage, rules, pages) for outage in one.outages],
            )
        )
    return found


def episodes(true: NDArray[np.bool_]) -> list[Span]:
    """From when until when it fires, with short breaks left out of account."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(int)))
    merged: list[Span] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if merged and begin - merged[-1][1] <= _MERGED:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def _since(page: Span, outages: Sequence[Outage], within: int) -> bool:
    """Whether it began in one of the outages or so soon after it."""
    return any(outage.begin <= page[0] < outage.end + within for outage in outages)


def _seen(one: Week, outage: Outage, rules: Rules, pages: Sequence[Span]) -> Seen:
    # A page that fires already tells nobody anything new.
    delays = [begin - (outage.begin - 1) for begin, _ in pages if outage.begin <= begin < outage.end]
    in_reach = any(_trips(one, outage, reach) for reach in rules.pages.values())
    return Seen(outage, in_reach, min(delays, default=None))


def _trips(one: Week, outage: Outage, reach: Reach) -> bool:
    end = outage.end - reach.hold
    window = slice(max(end - reach.long, 0), end)
    bad, total = one.bad[window].sum(), one.total[window].sum()
    return bool(bad >= reach.least and bad > reach.share * total)
