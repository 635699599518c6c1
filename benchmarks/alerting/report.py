"""The benchmark of the alerts: its tables, its figures, and whether promtool agrees."""

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.alerting import cases
from benchmarks.alerting.agreement import disagreements
from benchmarks.alerting.traffic import HOUR, MINUTE, SHAPES
from benchmarks.alerting.weeks import CAUSES, HEALTHY, Judged, Rules, Seen, Span, all_weeks, judge, rule_sets, sampled
from benchmarks.figures import Figure, Table
from jwtdrill.catalog.objectives import Objective, Severity, objectives


def alerts(folder: Path, _: float) -> Table:
    """All weeks in numpy, some of them in promtool as well, and the cases in promtool."""
    objective = next(one for one in objectives() if one.id == "verification")
    sets = rule_sets(objective)
    judged = [result for week in all_weeks() for result in judge(week, objective, sets)]
    agreed = _agreement(objective, folder)
    parts = [_false_pages(judged, sets), _outages(judged, sets), cases.table(objective, folder)]
    return Table("\n\n".join(parts), [*_figures(judged, sets), agreed])


def _agreement(objective: Objective, folder: Path) -> Figure:
    pages = replace(objective, tiers=tuple(t.name for t in objective.burn_tiers if t.severity is Severity.PAGE))
    weeks = sampled()
    agreed = 0
    for number, week in enumerate(weeks):
        found = disagreements(week.series, pages, folder, seed=number)
        agreed += not found
        for line in found:
            print(f"{week.shape}, {week.condition.name}: {line}", file=sys.stderr)
    return _figure(
        "weeks whose pages are the same in numpy and promtool",
        "weeks",
        agreed,
        "sampled",
        len(weeks),
        "all",
        agreed == len(weeks),
    )


def _false_pages(judged: Sequence[Judged], sets: Sequence[Rules]) -> str:
    """A row for each healthy condition, and for the weeks with outages before and after these."""
    shown = (sets[0].name, sets[-1].name)
    header = "| no outage | weeks |" + "".join(f" {name}: false pages | hours | tickets |" for name in shown)
    rows = [header, "|---|---|" + "---|---|---|" * len(shown)]

    def row(title: str, some: Sequence[Judged], pages: Callable[[Judged], list[Span]], *, tickets: bool) -> None:
        cells = ""
        for name in shown:
            mine = [one for one in some if one.rules == name]
            by_shape = (sum(len(pages(one)) for one in mine if one.shape == shape) for shape in SHAPES)
            hours = sum(end - begin for one in mine for begin, end in pages(one)) / HOUR
            filed = str(sum(one.false_tickets for one in mine)) if tickets else ""
            cells += f" {', '.join(map(str, by_shape))} | {hours:.1f} | {filed} |"
        rows.append(f"| {title} | {len(some) // len(sets)} |{cells}")

    for condition in HEALTHY:
        row(
            condition.name,
            [one for one in judged if one.condition == condition],
            lambda one: one.false,
            tickets=True,
        )
    with_outages = [one for one in judged if one.outages]
    row("weeks with outages, in peace", with_outages, lambda one: one.false, tickets=False)
    row("weeks with outages, anew within 6 h after one", with_outages, lambda one: one.again, tickets=False)
    return "\n".join(rows)


def _outages(judged: Sequence[Judged], sets: Sequence[Rules]) -> str:
    """A row for each cause, shape and depth."""
    rows = ["| cause | traffic | depth | outages |" + "".join(f" {rules.name} |" for rules in sets)]
    rows.append("|---|---|---|---|" + "---|" * len(sets))
    kinds = dict.fromkeys(
        (cause, shape, one.condition.depth)
        for cause in CAUSES
        for shape in SHAPES
        for one in judged
        if one.condition.name == cause
    )
    for cause, shape, depth in kinds:
        cells = []
        for rules in sets:
            seen = [
                outage
                for one in judged
                if (one.rules, one.condition.name, one.shape, one.condition.depth) == (rules.name, cause, shape, depth)
                for outage in one.outages
            ]
            cells.append(_cell(seen))
        rows.append(f"| {cause} | {shape} | {depth:.0%} | {len(seen)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(seen: Sequence[Seen]) -> str:
    """Paged, missed of those in reach, and minutes to the page: median and worst."""
    delays = [outage.delay / MINUTE for outage in seen if outage.delay is not None]
    missed, reach = sum(outage.missed for outage in seen), sum(outage.in_reach for outage in seen)
    times = f"; {statistics.median(delays):.3g}, {max(delays):.3g}" if delays else ""
    return f"{len(delays)}; {missed} of {reach}{times}"


def _figures(judged: Sequence[Judged], sets: Sequence[Rules]) -> list[Figure]:
    by_rules = [[one for one in judged if one.rules == name] for name in (sets[0].name, sets[-1].name)]
    weeks = len(by_rules[0])
    false = [sum(len(one.false) + len(one.again) for one in some) for some in by_rules]
    outages = [[outage for one in some for outage in one.outages] for some in by_rules]
    missed = [sum(outage.missed for outage in some) for some in outages]
    both = [pair for pair in zip(*outages, strict=True) if all(outage.delay is not None for outage in pair)]
    times = [statistics.median(_delays(some)) / MINUTE for some in zip(*both, strict=True)]
    against = "the workbook's plain form"
    return [
        _figure(f"false pages in {weeks} simulated weeks", "pages", false[0], against, false[1], "none", false[0] == 0),
        _figure(
            "outages in reach of a tier and missed", "outages", missed[0], against, missed[1], "none", missed[0] == 0
        ),
        _figure("time to a page, median of outages that both saw", "min", times[0], against, times[1]),
    ]


def _delays(seen: Iterable[Seen]) -> list[int]:
    return [outage.delay for outage in seen if outage.delay is not None]


def _figure(
    name: str, unit: str, measured: float, against: str, reference: float, goal: str = "", met: bool | None = None
) -> Figure:
    """One run tells all: the same weeks come out the same."""
    ratio = measured / reference if reference else 0.0
    return Figure(name, unit, measured, against, reference, ratio, (ratio, ratio), goal, met)
