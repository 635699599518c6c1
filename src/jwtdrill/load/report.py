"""What a load run prints at its end: objectives, and the confusion matrix."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.load.verdict import Row

_VERDICTS = {0: ("HELD", "bold green"), 1: ("VIOLATED", "bold red"), 3: ("INVALID", "bold yellow")}


def summary(board: Scoreboard, rows: Sequence[Row], code: int, limit: str) -> Iterable[RenderableType]:
    """Tables, then one line with the verdict."""
    yield _objectives(rows)
    yield confusion_matrix(board)
    word, style = _VERDICTS[code]
    text = f"{word}: {limit}: the result says nothing of the target" if limit else word
    failed = [row.name for row in rows if not row.held]
    yield Text(f"{text}: {', '.join(failed)}" if failed and not limit else text, style=style)


def confusion_matrix(board: Scoreboard) -> Table:
    """What each case should have met with, and what it met with."""
    table = Table(title="Expected and actual verdicts", title_justify="left")
    for name in ("flow", "case", "expected"):
        table.add_column(name)
    for verdict in Verdict:
        table.add_column(verdict.value, justify="right")
    groups: dict[tuple[str, str, str], dict[Verdict, int]] = {}
    for tally, count in board.counts.items():
        group = groups.setdefault((tally.flow, tally.case, tally.expected.value), dict.fromkeys(Verdict, 0))
        group[tally.verdict] += count
    for (flow, case, expected), counts in sorted(groups.items()):
        cells = (
            Text(f"{n:,}" if n else "-", style="red" if n and verdict.value != expected else "")
            for verdict, n in counts.items()
        )
        table.add_row(flow, case, expected, *cells)
    return table


def _objectives(rows: Sequence[Row]) -> Table:
    table = Table(title="Objectives", title_justify="left")
    for name in ("objective", "id", "wanted", "measured", "by", "answers"):
        table.add_column(name, justify="right" if name in ("measured", "by", "answers") else "left")
    for row in rows:
        table.add_row(
            row.name,
            row.requirement,
            row.wanted,
            Text(row.measured or "not measured", style="" if row.held else "red"),
            row.by,
            f"{row.events:,}",
        )
    return table
