"""Plots over time and of percentiles, as SVG that needs no script: what the reports of load runs and drills share.

A plot has no background of its own, and every colour in it is one of `SHADES`: `shade_css` gives the page the rules
that swap them where the reader's screen is dark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

from jwtdrill.load.latency import quantile
from jwtdrill.load.result import Result
from jwtdrill.load.scoreboard import Second

WIDTH = 860
MARGIN = 46  # pixels left of every plot, so that all share one axis
INK, SOFT, GRID, FRAME = "#27272a", "#52525b", "#e7e7ea", "#d4d4d8"
SERIES = ("#2563eb", "#c2570c", "#0f766e", "#7c3aed", "#be123c", "#4d7c0f", "#0369a1", "#a16207")
# Each colour on white, and on a dark page: of the same hue, so that text in either may name it.
SHADES = dict(
    zip(
        (INK, SOFT, GRID, FRAME, *SERIES),
        ("#f4f4f5", "#b4b4bd", "#34343a", "#52525b", "#60a5fa", "#fb923c", "#2dd4bf", "#a78bfa", "#fb7185", "#a3e635",
         "#38bdf8", "#facc15"),
        strict=True,
    )
)  # fmt: skip
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [10, 4], [1, 3], [6, 2, 2, 2])  # colour alone tells too few
_CURVE = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0)
Rows = list[dict[str, Any]]


def run_svg(result: Result) -> str:
    """The plots of one load run: answers/s by verdict, latency over time, and by percentile."""
    board = result.board
    timeline = dict(sorted(board.timeline.items()))
    if not timeline:
        return ""
    begin, width = min(timeline), board.second_width
    end = max(timeline) + width - begin
    return to_svg(
        [
            panel(_rates(timeline, begin, width), "Answers/s by verdict", 110, end),
            panel(_latency(timeline, begin), "Latency, ms", 110, end, axis="seconds from the beginning"),
            _percentiles(result),
        ]
    )


def to_svg(parts: Sequence[Any]) -> str:
    """Plots one above the other, as one picture."""
    chart = (
        alt.vconcat(*parts, spacing=14)
        .resolve_scale(color="independent", strokeDash="independent", x="independent")
        .configure(font="system-ui, sans-serif", background="transparent")
        .configure_view(stroke=FRAME)
        .configure_axis(
            gridColor=GRID, domainColor=FRAME, tickColor=FRAME, labelColor=SOFT, titleColor=SOFT,
            titleFontWeight="normal", labelFontSize=11, titleFontSize=11,
        )
        .configure_title(color=INK)
        .configure_legend(
            orient="top", direction="horizontal", labelColor=INK, labelFontSize=12, labelLimit=320, symbolType="stroke",
            symbolSize=300, symbolStrokeWidth=2, offset=4, padding=0, columnPadding=26,
        )
    )  # fmt: skip
    svg: str = vl_convert.vegalite_to_svg(chart.to_json())
    return svg


def shade_css(shades: Mapping[str, str]) -> str:
    """Style rules that put the second colour of each pair in place of the first, in a page's plots."""
    return "\n".join(
        f'.chart [fill="{light}"] {{ fill: {dark}; }} .chart [stroke="{light}"] {{ stroke: {dark}; }}'
        for light, dark in shades.items()
    )


def panel(
    rows: Rows,
    title: str,
    height: int,
    end: float,
    *,
    below: Any = None,
    domain: tuple[float, float] | None = None,
    rule: float | None = None,
    axis: str | None = None,
) -> Any:
    """Lines over time from `at`, `value` and `series` of each row; `below` them another chart, `rule` a dashed line."""
    scale = alt.Scale(domain=list(domain)) if domain else alt.Scale(zero=True)
    lines = (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.8, interpolate="step-after" if domain else "linear")
        .encode(
            x=alt.X("at:Q", title=axis, scale=alt.Scale(domain=[0, end])),
            y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(minExtent=MARGIN)),
            **by_series(),
        )
    )
    layers = [lines] if below is None else [below, lines]
    if rule is not None:
        mark = alt.Chart(data([{"value": rule}])).mark_rule(strokeDash=[4, 3], color=SERIES[4])
        layers.append(mark.encode(y="value:Q"))
    return alt.layer(*layers).properties(width=WIDTH, height=height, title=heading(title))


def by_series() -> dict[str, Any]:
    """Lines told apart by `series`: by colour, and by dashes for who sees no colour or prints without."""
    dashes = alt.Scale(range=[list(one) for one in _DASHES])
    legend = alt.Legend(columns=3)
    return {
        "color": alt.Color("series:N", title=None, scale=alt.Scale(range=list(SERIES)), legend=legend),
        "strokeDash": alt.StrokeDash("series:N", title=None, scale=dashes, legend=legend),
    }


def heading(title: str) -> Any:
    """A plot's title."""
    return alt.Title(title, anchor="start", fontSize=13, offset=6)


def data(rows: Rows) -> Any:
    """Rows as a chart's data."""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def _rates(timeline: Mapping[int, Second], begin: int, width: int) -> Rows:
    verdicts = sorted({tally.verdict for second in timeline.values() for tally in second.counts})
    return [
        {
            "at": at - begin,
            "value": sum(n for tally, n in second.counts.items() if tally.verdict is verdict) / width,
            "series": verdict.value,
        }
        for at, second in timeline.items()
        for verdict in verdicts
    ]


def _latency(timeline: Mapping[int, Second], begin: int) -> Rows:
    return [
        {"at": at - begin, "value": value * 1e3, "series": name}
        for at, second in timeline.items()
        for name, value in (
            ("mean", second.latency_sum / max(1, sum(second.counts.values()))),
            ("highest", second.latency_max),
        )
    ]


def _percentiles(result: Result) -> Any:
    """Each stream's latency over percentiles, the upper ones spread out: the tail is what users remember."""
    rows: Rows = []
    for stream, histogram in sorted(result.board.latency.items()):
        total = histogram.get_total_count()
        rows += [
            {
                "nines": 1 / (1 - share) if share < 1 else total + 1.0,
                "value": quantile(histogram, share) / 1e3,
                "series": f"{stream.flow} {stream.case} {stream.resource}",
            }
            for share in _CURVE
            if share == 1 or total >= 1 / (1 - share)
        ]
    nines = alt.Axis(
        values=[2, 10, 100, 1000, 10000],
        labelExpr="datum.value == 2 ? 'p50' : datum.value == 10 ? 'p90' : datum.value == 100 ? 'p99' : "
        "datum.value == 1000 ? 'p99.9' : 'p99.99'",
    )
    return (
        alt.Chart(data(rows))
        .mark_line(strokeWidth=1.8, point=True)
        .encode(
            x=alt.X("nines:Q", title=None, scale=alt.Scale(type="log"), axis=nines),
            y=alt.Y("value:Q", title=None, axis=alt.Axis(minExtent=MARGIN)),
            **by_series(),
        )
        .properties(width=WIDTH, height=140, title=heading("Latency by percentile, ms"))
    )
