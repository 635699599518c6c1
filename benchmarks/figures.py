"""A figure: what was measured, what it is compared with, in pairs of runs one after the other."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """Medians over pairs, the median of the pairs' ratios, and the goal. met: None where there is no goal."""

    name: str
    unit: str
    measured: float
    against: str
    reference: float
    ratio: float
    spread: tuple[float, float]
    goal: str = ""
    met: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @property
    def row(self) -> str:
        """A row of the table."""
        low, high = self.spread
        word = {None: "", True: "met", False: "**missed**"}[self.met]
        return (
            f"| {self.name} | {self.measured:,.4g} {self.unit} | {self.against}: {self.reference:,.4g} "
            f"| {self.ratio:.3g} | {low:.3g} to {high:.3g} | {self.goal} | {word} |"
        )


@dataclass(frozen=True)
class Table:
    """A table of its own in Markdown, and the figures that follow from it."""

    text: str
    figures: list[Figure] = field(default_factory=list)


HEADER = "| figure | measured | reference | ratio | spread | goal | |\n|---|---|---|---|---|---|---|"


def paired(
    name: str,
    unit: str,
    measure: Callable[[], float],
    against: str,
    reference: Callable[[], float],
    pairs: int,
    *,
    least_ratio: float | None = None,
    least: float | None = None,
    most_ratio: float | None = None,
) -> Figure:
    """Measure both in turn, so many times. The goal: a least ratio, a least value, or a greatest ratio."""
    seen = [(measure(), reference()) for _ in range(pairs)]
    ratios = [one / other for one, other in seen]
    ratio = statistics.median(ratios)
    measured = statistics.median(one for one, _ in seen)
    goal, met = "", None
    if least_ratio is not None:
        goal, met = f"ratio ≥ {least_ratio:g}", ratio >= least_ratio
    elif most_ratio is not None:
        goal, met = f"ratio ≤ {most_ratio:g}", ratio <= most_ratio
    elif least is not None:
        goal, met = f"≥ {least:,g} {unit}", measured >= least
    return Figure(
        name,
        unit,
        measured,
        against,
        statistics.median(other for _, other in seen),
        ratio,
        (min(ratios), max(ratios)),
        goal,
        met,
    )
