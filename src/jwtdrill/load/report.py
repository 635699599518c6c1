"""What a load run prints: a line of progress while it runs; at its end objectives, confusion matrix and verdict."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from jwtdrill.catalog.verdicts import Tally, Verdict
from jwtdrill.load.latency import quantile
from jwtdrill.load.result import Result
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.load.verdict import Outcome, Row

_STYLES = {Outcome.HELD: "bold green", Outcome.VIOLATED: "bold red", Outcome.INVALID: "bold yellow"}
Line = tuple[tuple[str, str, str], dict[Verdict, int]]


def summary(result: Result) -> Iterable[RenderableType]:
    """Tables, then what must be said, and last one line with the verdict."""
    yield _objectives(result.rows)
    yield confusion_matrix(result.board)
    for lost in result.lost:
        yield Text(f"Worker {lost.worker} was lost: up to about {lost.untold:,} answers of it are not counted.")
    if result.fitness.unanswered:
        yield Text(f"{result.fitness.unanswered:,} requests were under way at the end and are not counted.")
    if result.doubt:
        yield Text(
            f"Latencies may be up to {result.doubt * 1e3:.1f} ms too high: so late was the harness itself (p99)."
        )
    unsure = [row.name for row in result.rows if row.events and not row.sure]
    if unsure:
        yield Text(f"Too few answers to be sure of: {', '.join(unsure)}.")
    failed = [row.name for row in result.rows if not row.held]
    word = result.outcome.upper()
    if result.outcome is Outcome.INVALID:
        word += ": the harness set the pace, so this says nothing of the target"
    elif failed:
        word += f": {', '.join(failed)}"
    yield Text(word, style=_STYLES[result.outcome])
    for problem in result.problems:
        yield Text(f"  {problem}")


def progress(elapsed: float, board: Scoreboard, before: int, seconds: float, rows: Sequence[Row]) -> str:
    """One line: how far, how fast since `before` answers, how wrong, and which objectives do not hold just now."""
    latency = board.merged_latency(lambda _: True)
    p95 = f"p95 {quantile(latency, 0.95) / 1e3:.3g} ms" if latency.get_total_count() else "no answer yet"
    failed = [row.name for row in rows if not row.held]
    state = f"does not hold: {', '.join(failed)}" if failed else "all objectives hold"
    rate = (board.total - before) / seconds
    return f"{elapsed:5.0f} s  {rate:7,.0f}/s  {board.total:,} answers, {board.wrong:,} wrong  {p95}  {state}"


def matrix(counts: Mapping[Tally, int]) -> list[Line]:
    """The confusion matrix: flow, case and expected verdict, and how often which verdict came."""
    groups: dict[tuple[str, str, str], dict[Verdict, int]] = {}
    for tally, count in counts.items():
        group = groups.setdefault((tally.flow, tally.case, tally.expected.value), dict.fromkeys(Verdict, 0))
        group[tally.verdict] += count
    return sorted(groups.items(), key=lambda line: line[0])


def confusion_matrix(board: Scoreboard) -> Table:
    """What each case should have met with, and what it met with."""
    table = Table(title="Expected and actual verdicts", title_justify="left")
    for name in ("flow", "case", "expected"):
        table.add_column(name)
    for verdict in Verdict:
        table.add_column(verdict.value, justify="right")
    for (flow, case, expected), counts in matrix(board.counts):
        cells = (
            Text(f"{n:,}" if n else "-", style="red" if n and verdict.value != expected else "")
            for verdict, n in counts.items()
        )
        table.add_row(flow, case, expected, *cells)
    return table


def _objectives(rows: Sequence[Row]) -> Table:
    table = Table(title="Objectives", title_justify="left")
    for name in ("objective", "id", "wanted", "measured", "95 % interval", "by", "answers"):
        table.add_column(name, justify="right" if name in ("measured", "95 % interval", "by", "answers") else "left")
    for row in rows:
        table.add_row(
            row.name,
            row.requirement,
            row.wanted,
            Text(row.measured or "not measured", style="" if row.held else "red"),
            row.interval,
            row.by,
            f"{row.events:,}",
        )
    return table
