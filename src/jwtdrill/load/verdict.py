"""Whether the objectives held in a load run, and by how much: pure functions from a scoreboard to rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.load.scoreboard import Scoreboard, Tally

TOKEN_FLOWS = frozenset(("client_credentials", "jwt_bearer"))
CALL = "call"


@dataclass(frozen=True, slots=True)
class Row:
    """One objective: what was wanted, what was measured (None: nothing to measure), over how many answers."""

    name: str
    requirement: str
    wanted: str
    measured: str | None
    by: str
    held: bool
    events: int

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


def judge(board: Scoreboard, objectives: Iterable[Objective]) -> list[Row]:
    """A row for each objective, the false accepts first."""
    return [_false_accepts(board), *(_row(board, objective) for objective in objectives)]


def all_held(rows: Iterable[Row]) -> bool:
    """Whether every objective that could be measured held."""
    return all(row.held for row in rows)


def _false_accepts(board: Scoreboard) -> Row:
    tried = board.count(lambda t: t.expected is Expected.REJECTED)
    let_in = board.count(lambda t: t.false_accept)
    measured = str(let_in) if tried else None
    return Row("False accepts", "M3", "0", measured, f"+{let_in}" if let_in else "", let_in == 0, tried)


def _row(board: Scoreboard, objective: Objective) -> Row:
    if objective.indicator is Indicator.VERIFICATION_LATENCY:
        return _latency_row(board, objective)
    flows = TOKEN_FLOWS if objective.indicator is Indicator.ISSUANCE_SUCCESS else frozenset((CALL,))

    def counts(tally: Tally) -> bool:
        """Good requests that got an answer; one that was asked to wait says nothing of the objective."""
        return tally.flow in flows and tally.expected is Expected.ACCEPTED and tally.verdict is not Verdict.THROTTLED

    total = board.count(counts)
    good = board.count(lambda t: counts(t) and t.verdict is Verdict.ACCEPTED)
    return _share_row(objective, good, total, f"≥ {objective.objective:.4%} succeed")


def _latency_row(board: Scoreboard, objective: Objective) -> Row:
    assert objective.threshold is not None
    histogram = board.merged_latency(lambda stream: stream.flow == CALL and stream.case == "valid")
    total = histogram.get_total_count()
    bound = int(objective.threshold * 1e6)
    quick = sum(
        item.count_added_in_this_iter_step
        for item in histogram.get_recorded_iterator()
        if item.value_iterated_to <= histogram.get_highest_equivalent_value(bound)
    )
    return _share_row(objective, quick, total, f"≥ {objective.objective:.2%} within {objective.threshold * 1e3:g} ms")


def _share_row(objective: Objective, good: int, total: int, wanted: str) -> Row:
    if not total:
        return Row(objective.title, objective.requirement, wanted, None, "", True, 0)
    share = good / total
    difference = share - objective.objective
    return Row(
        objective.title,
        objective.requirement,
        wanted,
        f"{share:.4%}",
        f"{difference:+.4%}",
        share >= objective.objective,
        total,
    )
