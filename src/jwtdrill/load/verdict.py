"""Whether the objectives held in a load run, and by how much: pure functions from a scoreboard to rows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from hdrh.histogram import HdrHistogram

from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.load.latency import at_rank, quantile, within
from jwtdrill.load.scoreboard import Scoreboard, Stream

INTROSPECT = "introspect"
TOKEN_FLOWS = frozenset(("client_credentials", "jwt_bearer"))
CALL = "call"
VALID = "valid"
CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class Outcome(StrEnum):
    """How a load run, a drill or a game day ended."""

    HELD = "held"
    VIOLATED = "violated"
    INVALID = "invalid"  # the harness set the pace: nothing is said of the target

    @property
    def exit_code(self) -> int:
        """For scripts."""
        return {"held": 0, "violated": 1, "invalid": 3}[self.value]

    @classmethod
    def of_all(cls, outcomes: Iterable["Outcome"]) -> "Outcome":
        """Of several together: violated if any was; else invalid if any was; else held."""
        found = set(outcomes)
        return next((one for one in (cls.VIOLATED, cls.INVALID) if one in found), cls.HELD)


@dataclass(frozen=True, slots=True)
class Row:
    """One objective: what was wanted, what was measured (None: nothing to measure), over how many answers.

    interval: the 95 % confidence interval of what was measured, as if answers were independent. sure: whether all of
    it lies on the same side of what was wanted. bad: how many of the answers were not as wanted. quantile, excess: of a
    latency, and the seconds by which it is too high; 0 where it is not.
    """

    name: str
    requirement: str
    wanted: str
    measured: str | None
    interval: str
    by: str
    held: bool
    sure: bool
    events: int
    bad: int
    quantile: float = 0.0
    excess: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def judge(board: Scoreboard, objectives: Iterable[Objective]) -> list[Row]:
    """A row for each objective that load can measure, the false accepts first."""
    return [_false_accepts(board), *(_row(board, objective) for objective in _measurable(objectives))]


def outcome(rows: Iterable[Row], problems: Iterable[str]) -> Outcome:
    """The verdict. A bad token that was let in is a fact, whatever the harness was fit for."""
    rows = list(rows)
    if not rows[0].held:
        return Outcome.VIOLATED
    if any(problems):
        return Outcome.INVALID
    return Outcome.HELD if all(row.held for row in rows) else Outcome.VIOLATED


def lost(board: Scoreboard, objectives: Iterable[Objective], planned: int) -> bool:
    """Whether some objective cannot hold any more, were all answers still to come of so many planned ones good."""
    return any(row.bad > allowed * planned for row, allowed in _allowances(board, objectives))


def _allowances(board: Scoreboard, objectives: Iterable[Objective]) -> Iterable[tuple[Row, float]]:
    objectives = _measurable(objectives)
    return zip(judge(board, objectives), [0.0, *(objective.budget for objective in objectives)], strict=True)


def _measurable(objectives: Iterable[Objective]) -> list[Objective]:
    """All but the canary's, whose calls are its own."""
    return [objective for objective in objectives if objective.indicator is not Indicator.CANARY_SUCCESS]


def wilson(good: int, total: int) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), which is right near 0 and 1 too."""
    share = good / total
    centre = (share + _Z**2 / (2 * total)) / (1 + _Z**2 / total)
    half = _Z / (1 + _Z**2 / total) * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def quantile_interval(histogram: HdrHistogram, share: float) -> tuple[float, float]:
    """Where that quantile lies, in the histogram's unit, by the binomial ranks of its order statistics."""
    total = histogram.get_total_count()
    half = _Z * math.sqrt(total * share * (1 - share))
    return at_rank(histogram, total * share - half), at_rank(histogram, total * share + half)


def _false_accepts(board: Scoreboard) -> Row:
    tried = board.count(lambda t: t.expected is Expected.REJECTED)
    let_in = board.count(lambda t: t.false_accept)
    measured = str(let_in) if tried else None
    return Row(
        "False accepts", "M3", "0", measured, "", f"+{let_in}" if let_in else "", let_in == 0, True, tried, let_in
    )


def _row(board: Scoreboard, objective: Objective) -> Row:
    match objective.indicator:
        case Indicator.VERIFICATION_LATENCY:
            return _latency_row(board, objective, frozenset((CALL,)))
        case Indicator.ISSUANCE_LATENCY:
            return _latency_row(board, objective, TOKEN_FLOWS)
        case Indicator.ISSUANCE_SUCCESS:
            return _success_row(board, objective, TOKEN_FLOWS)
        case Indicator.VERIFICATION_SUCCESS:
            return _success_row(board, objective, frozenset((CALL,)))
        case Indicator.INTROSPECTION_LATENCY:
            return _latency_row(board, objective, frozenset((INTROSPECT,)))
        case Indicator.INTROSPECTION_SUCCESS:
            return _success_row(board, objective, frozenset((INTROSPECT,)))
        case Indicator.FALSE_REJECTS:
            sent = board.count(lambda t: t.expected is Expected.ACCEPTED and t.verdict is not Verdict.THROTTLED)
            wrong = board.count(lambda t: t.false_reject)
            return _share_row(objective, sent - wrong, sent, f"≤ {objective.budget:.4%}", of_bad=True)
        case Indicator.ERRORS:
            sent = board.count(lambda t: t.verdict is not Verdict.THROTTLED)
            wrong = board.count(lambda t: t.verdict is Verdict.ERRORED)
            return _share_row(objective, sent - wrong, sent, f"≤ {objective.budget:.4%}", of_bad=True)
        case Indicator.CANARY_SUCCESS:
            raise ValueError("the canary's calls are its own: load does not measure them")


def _success_row(board: Scoreboard, objective: Objective, flows: frozenset[str]) -> Row:
    def counts(tally: Tally) -> bool:
        """Good requests that got an answer; one that was asked to wait says nothing of the objective."""
        return tally.flow in flows and tally.expected is Expected.ACCEPTED and tally.verdict is not Verdict.THROTTLED

    total = board.count(counts)
    good = board.count(lambda t: counts(t) and t.verdict is Verdict.ACCEPTED)
    return _share_row(objective, good, total, f"≥ {objective.objective:.4%}")


def _latency_row(board: Scoreboard, objective: Objective, flows: frozenset[str]) -> Row:
    """The objective's share as a percentile: that many are within the threshold when the percentile is."""
    assert objective.threshold is not None

    def counts(stream: Stream) -> bool:
        return stream.flow in flows and stream.case == VALID

    histogram = board.merged_latency(counts)
    total = histogram.get_total_count()
    percentile = f"p{objective.objective * 100:g}"
    wanted = f"{percentile} ≤ {objective.threshold * 1e3:g} ms"
    if not total:
        return _not_measured(objective, wanted)
    bound = histogram.get_highest_equivalent_value(int(objective.threshold * 1e6))
    measured = quantile(histogram, objective.objective)
    low, high = quantile_interval(histogram, objective.objective)
    return Row(
        objective.title,
        objective.requirement,
        wanted,
        f"{measured / 1e3:.3g} ms",
        f"{low / 1e3:.3g} to {high / 1e3:.3g} ms",
        f"{measured / 1e3 - objective.threshold * 1e3:+.3g} ms",
        measured <= bound,
        high <= bound or low > bound,
        total,
        total - within(histogram, objective.threshold * 1e6),
        objective.objective,
        max(0.0, measured / 1e6 - objective.threshold) if measured > bound else 0.0,
    )


def _share_row(objective: Objective, good: int, total: int, wanted: str, *, of_bad: bool = False) -> Row:
    if not total:
        return _not_measured(objective, wanted)
    share = good / total
    low, high = wilson(good, total)
    shown = [1 - value for value in (share, high, low)] if of_bad else [share, low, high]
    difference = objective.objective - share if of_bad else share - objective.objective
    return Row(
        objective.title,
        objective.requirement,
        wanted,
        f"{shown[0]:.4%}",
        f"{shown[1]:.4%} to {shown[2]:.4%}",
        f"{difference:+.4%}",
        share >= objective.objective,
        low >= objective.objective or high < objective.objective,
        total,
        total - good,
    )


def _not_measured(objective: Objective, wanted: str) -> Row:
    return Row(objective.title, objective.requirement, wanted, None, "", "", True, True, 0, 0)
