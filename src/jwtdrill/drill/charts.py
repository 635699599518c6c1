"""Plots of a drill over time, as SVG: accept rate, latency, burn rate, with fault and alerts marked."""

from typing import Any

import altair as alt
import vl_convert

from jwtdrill.drill.record import Phase, Record

_WIDTH = 720
_MARGIN = 220  # pixels left of every plot, so that all share one time axis
_FAULT_COLOUR = "#f3c5c5"
_SERIES = ("#2563eb", "#d97706")
_Rows = list[dict[str, Any]]


def timeline_svg(record: Record, factor: float | None) -> str:
    """All plots of one drill, one above the other on one time axis. `factor`: of the fastest paging tier."""
    begin = min((i.begin for i in record.phases.values()), default=0.0)
    end = max((i.end for i in record.phases.values()), default=1.0) - begin
    shade = _faults(record, begin, end)
    parts = [
        _panel(shade, _accepted(record, begin), "Good tokens accepted, %", 110, end, domain=(0, 100)),
        _panel(shade, _latency(record, begin), "Latency, ms", 80, end),
    ]
    if record.burn:
        parts.append(_panel(shade, _burn(record, begin), "Burn rate of the verification budget", 90, end, rule=factor))
    if record.alerts:
        parts.append(_alerts(record, begin, end))
    chart = (
        alt.vconcat(*parts, spacing=14)
        .resolve_scale(color="independent")
        .configure(font="system-ui, sans-serif", background="white")
        .configure_view(stroke="#d4d4d8")
        .configure_axis(gridColor="#ececef", labelColor="#52525b", titleColor="#27272a")
    )
    svg: str = vl_convert.vegalite_to_svg(chart.to_json())
    return svg


def _panel(
    shade: Any,
    rows: _Rows,
    title: str,
    height: int,
    end: float,
    domain: tuple[float, float] | None = None,
    rule: float | None = None,
) -> Any:
    scale = alt.Scale(domain=list(domain)) if domain else alt.Scale(zero=True)
    lines = (
        alt.Chart(_data(rows))
        .mark_line(strokeWidth=1.6, interpolate="step-after" if domain else "linear")
        .encode(
            x=_x(end),
            y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(minExtent=_MARGIN)),
            color=alt.Color("series:N", title=None, scale=alt.Scale(range=list(_SERIES))),
        )
    )
    layers = [shade, lines]
    if rule is not None:
        mark = alt.Chart(_data([{"value": rule}])).mark_rule(strokeDash=[4, 3], color="#b91c1c")
        layers.append(mark.encode(y="value:Q"))
    return alt.layer(*layers).properties(
        width=_WIDTH, height=height, title=alt.Title(title, anchor="start", fontSize=12)
    )


def _alerts(record: Record, begin: float, end: float) -> Any:
    rows = [
        {
            "alert": f"{span.severity} {span.name}",
            "from": max(0.0, span.first_seen - begin),
            "to": min(end, span.last_seen - begin),
            "told": "inhibited" if span.suppressed else span.severity,
        }
        for span in sorted(record.alerts or (), key=lambda span: not span.suppressed)  # what is told lies on top
    ]
    colours = alt.Scale(domain=["page", "ticket", "inhibited"], range=["#dc2626", "#d97706", "#d4d4d8"])
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(height=9)
        .encode(
            x=alt.X("from:Q", scale=alt.Scale(domain=[0, end]), title="seconds from the control period's beginning"),
            x2="to:Q",
            y=alt.Y("alert:N", title=None, axis=alt.Axis(labelLimit=_MARGIN, minExtent=_MARGIN)),
            color=alt.Color("told:N", title=None, scale=colours),
        )
    )
    return alt.layer(_faults(record, begin, end), bars).properties(
        width=_WIDTH, title=alt.Title("Alerts", anchor="start", fontSize=12)
    )


def _faults(record: Record, begin: float, end: float) -> Any:
    spans = [{"from": f.begin - begin, "to": f.end - begin} for f in record.faults]
    return (
        alt.Chart(_data(spans))
        .mark_rect(color=_FAULT_COLOUR, opacity=0.6)
        .encode(x=alt.X("from:Q", scale=alt.Scale(domain=[0, end])), x2="to:Q")
    )


def _x(end: float) -> alt.X:
    return alt.X("at:Q", title=None, scale=alt.Scale(domain=[0, end]))


def _accepted(record: Record, begin: float) -> _Rows:
    names = sorted({t.resource for s in record.seconds for t in s.counts if t.flow == "call"})
    rows: _Rows = []
    for second in record.seconds[:-1]:  # the last one is not whole
        for name in names:
            counts = {t: n for t, n in second.counts.items() if t.resource == name and t.expected.value == "accepted"}
            sent = sum(counts.values())
            if sent:
                good = sum(n for t, n in counts.items() if t.verdict.value == "accepted")
                rows.append({"at": second.at - begin, "value": 100 * good / sent, "series": name})
    return rows


def _latency(record: Record, begin: float) -> _Rows:
    return [
        {"at": second.at - begin, "value": value * 1e3, "series": name}
        for second in record.seconds
        for name, value in (("mean", second.latency_mean), ("highest", second.latency_max))
    ]


def _burn(record: Record, begin: float) -> _Rows:
    return [
        {"at": at - begin, "value": value, "series": f"over {window}"}
        for window, points in record.burn.items()
        for at, value in points
    ]


def _data(rows: _Rows) -> Any:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def phase_order() -> tuple[Phase, ...]:
    """Phases as they follow each other."""
    return (Phase.CONTROL, Phase.FAULT, Phase.RECOVERY)
