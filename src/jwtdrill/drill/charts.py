"""Plots of a drill over time, as SVG: faults and alerts, good tokens turned away, burn rate, latency."""

from typing import Any

import altair as alt

from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.drill.record import Record
from jwtdrill.load.charts import INK, MARGIN, SHADES, WIDTH, Rows, data, heading, panel, to_svg

_FAULT, _PAGE, _TICKET, _UNTOLD = "#f3c5c5", "#c81e1e", "#b45309", "#8a8a94"
DRILL_SHADES = SHADES | {_FAULT: "#5b2326", _PAGE: "#f87171", _TICKET: "#fbbf24", _UNTOLD: "#85858f"}
_ROW = 34  # pixels of a fault or an alert, its name above its bar
_LEFT_OF = 0.6  # share of the width from which a name is written leftwards, not to run out of the plot


def timeline_svg(record: Record, factor: float | None) -> str:
    """All plots of one drill, one above the other on one time axis. `factor`: of the fastest paging tier."""
    begin, end = record.begin, max(1.0, record.end - record.begin)
    shade = _faults(record, begin, end)
    parts = [
        _lanes(record, begin, end),
        panel(_turned_away(record, begin), "Good tokens turned away, %", 110, end, below=shade, domain=(0, 100)),
    ]
    if record.burn:
        title = "Burn rate of the verification budget (1 spends it exactly in its period)"
        parts.append(panel(_burn(record, begin), title, 90, end, below=shade, rule=factor))
    axis = "seconds from the beginning of the control period"
    parts.append(panel(_latency(record, begin), "Latency, ms", 80, end, below=shade, axis=axis))
    return to_svg(parts)


def _lanes(record: Record, begin: float, end: float) -> Any:
    """A bar for each fault and alert: what was done, and who was told."""
    rows: Rows = []
    spans = record.alerts or []
    for number, fault in enumerate(record.faults):
        rows.append(_lane(f"0{number:03}", f"fault {fault.name}", "fault", fault.begin - begin, fault.end - begin, end))
    names = list(dict.fromkeys(f"{s.severity} {s.name}" for s in sorted(spans, key=lambda span: span.first_seen)))
    for span in sorted(spans, key=lambda span: not span.suppressed):  # what is told lies on top
        told = "nobody told" if span.suppressed else span.severity
        name = f"{span.severity} {span.name}"
        rows.append(_lane(f"1{names.index(name):03}", name, told, span.first_seen - begin, span.last_seen - begin, end))
    lanes = {row["lane"] for row in rows}
    kinds = {"fault": INK, "page": _PAGE, "ticket": _TICKET, "nobody told": _UNTOLD}
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("lane:N", title=None, axis=alt.Axis(labels=False, ticks=False, domain=False, minExtent=MARGIN))
    )
    across = alt.Scale(domain=[0, end])
    bars = base.mark_bar(height=8, yOffset=8).encode(
        x=alt.X("from:Q", title=None, scale=across),
        x2="to:Q",
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
            legend=alt.Legend(symbolType="square", symbolSize=90),
        ),
    )
    first = alt.Chart(data(_names(rows))).encode(y=alt.Y("lane:N"), text="name:N")
    labels = [
        first.transform_filter(f"datum.leftwards == {str(leftwards).lower()}")
        .mark_text(align="right" if leftwards else "left", yOffset=-6, fontSize=11, color=INK)
        .encode(x=alt.X(f"{'to' if leftwards else 'from'}:Q", scale=across))
        for leftwards in (False, True)
    ]
    height = max(1, len(lanes)) * _ROW
    layers = alt.layer(_faults(record, begin, end), bars, *labels)
    return layers.properties(width=WIDTH, height=height, title=heading("Faults, and alerts that were active"))


def _lane(lane: str, name: str, kind: str, begin: float, end: float, most: float) -> dict[str, Any]:
    return {
        "lane": lane,
        "name": name,
        "kind": kind,
        "from": max(0.0, begin),
        "to": min(most, max(end, begin + most / 300)),  # one that was seen but once shows too
        "leftwards": begin > most * _LEFT_OF,
    }


def _names(rows: Rows) -> Rows:
    """One name for each lane, at its first bar, or its last where names run leftwards."""
    named: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: float(row["from"])):
        held = named.setdefault(row["lane"], dict(row))
        held["to"] = max(held["to"], row["to"])
    return list(named.values())


def _faults(record: Record, begin: float, end: float) -> Any:
    spans = [{"from": f.begin - begin, "to": f.end - begin} for f in record.faults]
    return (
        alt.Chart(data(spans))
        .mark_rect(color=_FAULT, opacity=0.55)
        .encode(x=alt.X("from:Q", scale=alt.Scale(domain=[0, end])), x2="to:Q")
    )


def _turned_away(record: Record, begin: float) -> Rows:
    """Of the good tokens of each second and resource, those that were not accepted."""
    names = sorted({t.resource for s in record.seconds for t in s.counts if t.flow == "call"})
    rows: Rows = []
    for second in record.seconds[:-1]:  # the last one is not whole
        for name in names:
            good = {t: n for t, n in second.counts.items() if t.resource == name and t.expected is Expected.ACCEPTED}
            sent = sum(good.values())
            if sent:
                away = sum(n for t, n in good.items() if t.verdict is not Verdict.ACCEPTED)
                rows.append({"at": max(0.0, second.at - begin), "value": 100 * away / sent, "series": name})
    return rows


def _latency(record: Record, begin: float) -> Rows:
    return [
        {"at": max(0.0, second.at - begin), "value": value * 1e3, "series": name}
        for second in record.seconds
        for name, value in (("mean", second.latency_mean), ("highest", second.latency_max))
    ]


def _burn(record: Record, begin: float) -> Rows:
    return [
        {"at": at - begin, "value": value, "series": f"over {window}"}
        for window, points in record.burn.items()
        for at, value in points
    ]
