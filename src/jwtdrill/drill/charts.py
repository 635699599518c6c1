"""Plots of a drill over time, as SVG: accept rate, latency, burn rate, with fault and alerts marked."""

from typing import Any

import altair as alt

from jwtdrill.drill.record import Phase, Record
from jwtdrill.load.charts import MARGIN, WIDTH, Rows, data, heading, panel, to_svg

_FAULT_COLOUR = "#f3c5c5"


def timeline_svg(record: Record, factor: float | None) -> str:
    """All plots of one drill, one above the other on one time axis. `factor`: of the fastest paging tier."""
    begin = min((i.begin for i in record.phases.values()), default=0.0)
    end = max((i.end for i in record.phases.values()), default=1.0) - begin
    shade = _faults(record, begin, end)
    parts = [
        panel(_accepted(record, begin), "Good tokens accepted, %", 110, end, below=shade, domain=(0, 100)),
        panel(_latency(record, begin), "Latency, ms", 80, end, below=shade),
    ]
    if record.burn:
        title = "Burn rate of the verification budget"
        parts.append(panel(_burn(record, begin), title, 90, end, below=shade, rule=factor))
    if record.alerts:
        parts.append(_alerts(record, begin, end))
    return to_svg(parts)


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
        alt.Chart(data(rows))
        .mark_bar(height=9)
        .encode(
            x=alt.X("from:Q", scale=alt.Scale(domain=[0, end]), title="seconds from the control period's beginning"),
            x2="to:Q",
            y=alt.Y("alert:N", title=None, axis=alt.Axis(labelLimit=MARGIN, minExtent=MARGIN)),
            color=alt.Color("told:N", title=None, scale=colours),
        )
    )
    return alt.layer(_faults(record, begin, end), bars).properties(width=WIDTH, title=heading("Alerts"))


def _faults(record: Record, begin: float, end: float) -> Any:
    spans = [{"from": f.begin - begin, "to": f.end - begin} for f in record.faults]
    return (
        alt.Chart(data(spans))
        .mark_rect(color=_FAULT_COLOUR, opacity=0.6)
        .encode(x=alt.X("from:Q", scale=alt.Scale(domain=[0, end])), x2="to:Q")
    )


def _accepted(record: Record, begin: float) -> Rows:
    names = sorted({t.resource for s in record.seconds for t in s.counts if t.flow == "call"})
    rows: Rows = []
    for second in record.seconds[:-1]:  # the last one is not whole
        for name in names:
            counts = {t: n for t, n in second.counts.items() if t.resource == name and t.expected.value == "accepted"}
            sent = sum(counts.values())
            if sent:
                good = sum(n for t, n in counts.items() if t.verdict.value == "accepted")
                rows.append({"at": second.at - begin, "value": 100 * good / sent, "series": name})
    return rows


def _latency(record: Record, begin: float) -> Rows:
    return [
        {"at": second.at - begin, "value": value * 1e3, "series": name}
        for second in record.seconds
        for name, value in (("mean", second.latency_mean), ("highest", second.latency_max))
    ]


def _burn(record: Record, begin: float) -> Rows:
    return [
        {"at": at - begin, "value": value, "series": f"over {window}"}
        for window, points in record.burn.items()
        for at, value in points
    ]


def phase_order() -> tuple[Phase, ...]:
    """Phases as they follow each other."""
    return (Phase.CONTROL, Phase.FAULT, Phase.RECOVERY)
