"""What changed between two load runs beyond noise, by a percentile bootstrap over blocks of time.

Answers that follow each other are alike (a pause of the garbage collector slows hundreds), so single latencies are no
independent samples; blocks of a second or more nearly are. Each resampling draws blocks with replacement (Künsch 1989;
Efron and Tibshirani 1993, chapter 13). Given several runs a side, it draws runs first, so that what differs from run to
run counts as noise too. The level is divided by the number of figures (Bonferroni): two like runs seldom differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jwtdrill.errors import BadInputError
from jwtdrill.load.files import RUN_FILE, RunFile, read_run
from jwtdrill.load.scoreboard import read_tallies

CONFIDENCE = 0.95
LEAST_CHANGE = 0.05  # relative; a smaller one is no change, however sure
_RESAMPLINGS = 2000
_LEAST_BLOCKS = 8
_QUANTILES = (0.5, 0.95, 0.99)
_LEAST_BEYOND = 20  # answers beyond a quantile in each run, below which it is not compared
_SEED = 1
_Matrix = npt.NDArray[np.float64]


class Direction(StrEnum):
    """What became of a figure."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no change"


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of both sides; `low` and `high` bound the relative change, 0.1 for a tenth more."""

    what: str
    unit: str
    before: float
    after: float
    low: float
    high: float
    direction: Direction

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Comparison:
    """differences: in what was asked, of what, with what; they may be the reason for the changes."""

    differences: Sequence[str]
    changes: Sequence[Change]
    invalid: Sequence[str]

    @property
    def worse(self) -> bool:
        """Whether anything got worse."""
        return any(change.direction is Direction.WORSE for change in self.changes)


def read_side(path: Path) -> list[RunFile]:
    """The run of that file or folder, or all runs in the folders below it. Raises BadInputError."""
    if path.is_dir() and not (path / RUN_FILE).exists():
        found = sorted(path.glob(f"*/{RUN_FILE}"))
        if not found:
            raise BadInputError(f"{path}: holds no {RUN_FILE}: give a folder that a load run wrote with --report")
        return [read_run(file) for file in found]
    return [read_run(path)]


def compare(before: Sequence[RunFile], after: Sequence[RunFile], least: float = LEAST_CHANGE) -> Comparison:
    """Compare two sides, each of one run or several alike. Raises BadInputError for runs too short to compare."""
    try:
        figures = [*_latencies(before, after), *_shares_of_wrong(before, after), *_throughput(before, after)]
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError) as error:  # foreign input
        paths = ", ".join(str(run.path) for run in (*before, *after))
        raise BadInputError(f"{paths}: one of these is damaged ({type(error).__name__}): run it again") from None
    level = (1 - CONFIDENCE) / max(1, len(figures))
    dice = np.random.default_rng(_SEED)
    return Comparison(
        differences=_differences(before[0].content, after[0].content),
        changes=[_judge(figure, level, least, dice) for figure in figures],
        invalid=[str(run.path) for run in (*before, *after) if run.content["outcome"] == "invalid"],
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure that each side's blocks make: rows are blocks, columns what `of` sums up. One matrix for each run."""

    what: str
    unit: str
    sides: tuple[Sequence[_Matrix], Sequence[_Matrix]]
    of: "_Statistic"
    more_is_worse: bool = True


class _Statistic:
    """A figure from summed columns: `value` takes an array of sums, a row for each resampling."""

    def value(self, sums: _Matrix) -> _Matrix:
        """The figure of each row."""
        raise NotImplementedError


class _Quantile(_Statistic):
    def __init__(self, share: float, milliseconds: _Matrix) -> None:
        self._share = share
        self._milliseconds = milliseconds

    def value(self, sums: _Matrix) -> _Matrix:
        reached = np.cumsum(sums, axis=1)
        wanted = np.ceil(self._share * reached[:, -1:])
        places: npt.NDArray[np.intp] = np.argmax(reached >= np.maximum(wanted, 1), axis=1)
        return self._milliseconds[places]


class _Ratio(_Statistic):
    """The first column's sum by the second's."""

    def value(self, sums: _Matrix) -> _Matrix:
        return sums[:, 0] / np.maximum(sums[:, 1], 1e-9)


def _judge(figure: _Figure, level: float, least: float, dice: np.random.Generator) -> Change:
    values = [figure.of.value(np.sum([m.sum(axis=0) for m in side], axis=0)[None, :])[0] for side in figure.sides]
    drawn = [figure.of.value(_resample(side, dice)) for side in figure.sides]
    floor = max(1e-9, 1e-6 * max(map(float, values)))
    relative = drawn[1] / np.maximum(drawn[0], floor) - 1
    low, high = (float(x) for x in np.quantile(relative, (level / 2, 1 - level / 2)))
    before, after = map(float, values)
    change = after / max(before, floor) - 1
    direction = Direction.SAME
    if (low > 0 or high < 0) and abs(change) >= least:
        direction = Direction.WORSE if (change > 0) == figure.more_is_worse else Direction.BETTER
    return Change(figure.what, figure.unit, before, after, low, high, direction)


def _resample(runs: Sequence[_Matrix], dice: np.random.Generator) -> _Matrix:
    """Column sums of so many resamplings: runs drawn with replacement, and of each its blocks."""
    chosen = dice.multinomial(len(runs), [1 / len(runs)] * len(runs), size=_RESAMPLINGS)
    total: _Matrix = np.zeros((_RESAMPLINGS, runs[0].shape[1]))
    for number, blocks in enumerate(runs):
        count = len(blocks)
        total += dice.multinomial(chosen[:, number] * count, [1 / count] * count) @ blocks
    return total


def _latencies(before: Sequence[RunFile], after: Sequence[RunFile]) -> list[_Figure]:
    sides = [[_blocks(run) for run in side] for side in (before, after)]
    common = set.intersection(*({stream for block in run for stream in block} for side in sides for run in side))
    figures: list[_Figure] = []
    for flow, case in sorted(common):
        stream = (flow, case)
        bins = sorted({m for side in sides for run in side for block in run for m in block.get(stream, {})})
        place = {micros: number for number, micros in enumerate(bins)}
        matrices = tuple([_matrix(run, stream, place) for run in side] for side in sides)
        fewest = min(float(matrix.sum()) for side in matrices for matrix in side)
        milliseconds: _Matrix = np.array(bins) / 1e3
        figures += [
            _Figure(f"{flow} {case} p{share * 100:g}", "ms", (matrices[0], matrices[1]), _Quantile(share, milliseconds))
            for share in _QUANTILES
            if fewest * (1 - share) >= _LEAST_BEYOND
        ]
    return figures


def _blocks(run: RunFile) -> list[dict[tuple[str, str], dict[int, int]]]:
    blocks = []
    for entry in run.content["blocks"]:
        block: dict[tuple[str, str], dict[int, int]] = {}
        for latencies in entry["latencies"]:
            sparse = block.setdefault((latencies["flow"], latencies["case"]), {})
            for micros, count in latencies["microseconds"]:
                sparse[micros] = sparse.get(micros, 0) + count
        blocks.append(block)
    if len(blocks) < _LEAST_BLOCKS:
        raise BadInputError(
            f"{run.path}: is too short to compare: it lasted {len(blocks) * run.content['block_seconds']} s, "
            f"and {_LEAST_BLOCKS} blocks of time are needed"
        )
    return blocks


def _matrix(
    blocks: Sequence[Mapping[tuple[str, str], Mapping[int, int]]], stream: tuple[str, str], place: Mapping[int, int]
) -> _Matrix:
    matrix: _Matrix = np.zeros((len(blocks), len(place)))
    for row, block in enumerate(blocks):
        for micros, count in block.get(stream, {}).items():
            matrix[row, place[micros]] += count
    return matrix


def _shares_of_wrong(before: Sequence[RunFile], after: Sequence[RunFile]) -> list[_Figure]:
    """Wrong answers among all; left out where neither side had any."""

    def matrix(run: RunFile) -> _Matrix:
        rows = []
        for second in run.content["timeline"]:
            counts = read_tallies(second["tallies"])
            wrong = sum(n for tally, n in counts.items() if tally.expected.value != tally.verdict.value)
            rows.append((100 * wrong, sum(counts.values())))
        return np.array(rows, dtype=float)

    sides = [[matrix(run) for run in side] for side in (before, after)]
    if not any(run[:, 0].any() for side in sides for run in side):
        return []
    return [_Figure("wrong answers", "%", (sides[0], sides[1]), _Ratio())]


def _throughput(before: Sequence[RunFile], after: Sequence[RunFile]) -> list[_Figure]:
    """Answers/s, without the first and the last block, which are not whole."""

    def matrix(run: RunFile) -> _Matrix:
        counts = [
            sum(count for latencies in block["latencies"] for _, count in latencies["microseconds"])
            for block in run.content["blocks"]
        ]
        return np.array([(count, run.content["block_seconds"]) for count in counts[1:-1]], dtype=float)

    sides = [[matrix(run) for run in side] for side in (before, after)]
    return [_Figure("answers", "1/s", (sides[0], sides[1]), _Ratio(), more_is_worse=False)]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = []
    for part in ("jwtdrill", "scenario", "environment", "issuer", "model", "target", "versions", "machine"):
        one, other = (content.get(part) for content in (before, after))
        names = sorted({*one, *other}) if isinstance(one, dict) and isinstance(other, dict) else [None]
        for name in names:
            left, right = (one, other) if name is None else (one.get(name), other.get(name))  # type: ignore[union-attr]
            if left != right:
                found.append(f"{part}{f'.{name}' if name else ''}: {left} → {right}")
    return found
