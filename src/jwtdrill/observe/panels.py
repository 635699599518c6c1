"""Small, typed constructors over grafanalib, and the one pass that makes its JSON current."""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import attr
from grafanalib import core

from jwtdrill.catalog.metrics import FAULT_ACTIVE, GRAFANA_TAG, Metric
from jwtdrill.observe.finish import DATASOURCE, GRAFANA, Json

ENVIRONMENT: Final = 'environment=~"$environment"'
SELECTOR: Final = f'{ENVIRONMENT}, issuer=~"$issuer"'
COLUMNS: Final = 24


@attr.s(auto_attribs=True)
class Query(core.Target):
    """A PromQL query; exemplars only where a histogram's traces are worth a lookup."""

    exemplar: bool = False

    def to_json_data(self) -> Json:
        flags = {"range": not self.instant, "exemplar": self.exemplar, "editorMode": "code"}
        return {**super().to_json_data(), **flags}  # type: ignore[no-untyped-call]


@attr.s(auto_attribs=True, kw_only=True)
class Panel(core.Panel):
    """Any panel plugin by its own options: for what grafanalib lacks or has outdated."""

    type: str
    options: Json = attr.Factory(dict)
    defaults: Json = attr.Factory(dict)
    overrides: list[Json] = attr.Factory(list)

    def to_json_data(self) -> Json:
        field_config = {"defaults": self.defaults, "overrides": self.overrides}
        own = {"type": self.type, "options": self.options, "fieldConfig": field_config}
        data: Json = self.panel_json(own)  # type: ignore[no-untyped-call]
        return data


def query(expr: str, legend: str = "__auto", **kwargs: Any) -> Query:
    return Query(expr=" ".join(expr.split()), legendFormat=legend, **kwargs)


def rate(metric: Metric, by: str, matchers: str = "", scope: str = SELECTOR) -> str:
    """PromQL of events per second, summed by those labels."""
    chosen = ", ".join(filter(None, (matchers, scope)))
    return f"sum by ({by}) (rate({metric.name}{{{chosen}}}[$__rate_interval]))"


def quantile(share: float, metric: Metric, by: str = "") -> str:
    """PromQL of a quantile of a histogram, by those labels."""
    labels = ", ".join(filter(None, ("le", by)))
    return (
        f"histogram_quantile({share}, sum by ({labels}) (rate({metric.name}_bucket{{{SELECTOR}}}[$__rate_interval])))"
    )


def steps(*pairs: tuple[str, float | None]) -> list[Json]:
    """Threshold steps, the first from minus infinity (None)."""
    return [{"color": color, "value": value} for color, value in pairs]


def value_map(names: Mapping[int, tuple[str, str]]) -> list[Json]:
    """What to write for a value, and in which colour: `{0: ("ok", "green")}`."""
    options = {
        str(value): {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(names.items())
    }
    return [{"type": "value", "options": options}]


def _common(title: str, description: str, queries: Sequence[Query]) -> Json:
    letters = string.ascii_uppercase[: len(queries)]
    targets = [attr.evolve(q, refId=ref) for q, ref in zip(queries, letters, strict=True)]
    return {"title": title, "description": description, "targets": targets, "maxDataPoints": None}


def timeseries(
    title: str, description: str, queries: Sequence[Query], unit: str, *,
    low: float | None = None, thresholds: Sequence[Json] = (), stacked: bool = False,
) -> core.TimeSeries:  # fmt: skip
    return core.TimeSeries(
        **_common(title, description, queries),
        unit=unit, fillOpacity=10, showPoints="never", tooltipMode="multi", tooltipSort="desc",
        stacking={"mode": "normal" if stacked else "none", "group": "A"},
        thresholds=list(thresholds) or steps(("green", None)),
        thresholdsStyleMode="line" if thresholds else "off",
        extraJson={"fieldConfig": {"defaults": {"min": low}}},  # valueMin takes only an int
    )  # fmt: skip


def stat(
    title: str, description: str, expr: str, unit: str, *,
    thresholds: Sequence[Json], mappings: Sequence[Json] = (), legend: str = "__auto",
    decimals: int | None = None, sparkline: bool = False,
) -> core.Stat:  # fmt: skip
    return core.Stat(
        **_common(title, description, [query(expr, legend, instant=not sparkline)]),
        format=unit, decimals=decimals, thresholds=list(thresholds), mappings=list(mappings),
        color={"mode": "thresholds"}, colorMode="background" if not sparkline else "value",
        graphMode="area" if sparkline else "none", reduceCalc="lastNotNull", noValue="no data",
        extraJson={"options": {"wideLayout": True, "showPercentChange": False}},
    )  # fmt: skip


def table(
    title: str, description: str, queries: Sequence[Query], *,
    columns: Mapping[str, str], overrides: Sequence[Json] = (), sort_by: str | None = None,
) -> core.Table:  # fmt: skip
    """Instant queries merged on their labels; only `columns` stay, renamed and in this order."""
    instant = [attr.evolve(q, instant=True, format="table") for q in queries]
    organize = {
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": dict(columns),
    }
    return core.Table(
        **_common(title, description, instant),
        overrides=list(overrides), thresholds=steps(("green", None)),
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
            {"id": "organize", "options": organize},
        ],
        sortBy=[core.TableSortByField(sort_by, True)] if sort_by else [],
        extraJson={"options": {"frameIndex": 0, "cellHeight": "sm"}},
    )  # fmt: skip


def heatmap(title: str, description: str, expr: str, unit: str, *, points: int = 120) -> Panel:
    """Rows by `le`: expr is `sum by (le) (increase(..._bucket[$__rate_interval]))`."""
    options = {
        "calculate": False, "cellGap": 1, "cellValues": {}, "filterValues": {"le": 1e-9},
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale":
                  "exponential", "exponent": 0.5, "reverse": False, "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"}, "legend": {"show": True},
        "rowsFrame": {"layout": "auto"}, "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }  # fmt: skip
    target = query(expr, "{{le}}", format="heatmap", exemplar=True)
    common = _common(title, description, [target]) | {"maxDataPoints": points}
    return Panel(**common, type="heatmap", options=options)


def states(
    title: str, description: str, queries: Sequence[Query], mappings: Sequence[Json], *,
    thresholds: Sequence[Json], merged: bool = True,
) -> Panel:  # fmt: skip
    """A state timeline (merged spans), or the status history of single points."""
    own = {"mergeValues": True, "alignValue": "left"} if merged else {"colWidth": 0.9}
    return Panel(
        **_common(title, description, queries) | {"maxDataPoints": 120},
        type="state-timeline" if merged else "status-history",
        options={
            **own, "rowHeight": 0.9, "showValue": "never",
            "legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={
            "color": {"mode": "thresholds"}, "mappings": list(mappings),
            "custom": {"fillOpacity": 80, "lineWidth": 0},
        },
        thresholds=list(thresholds),
    )  # fmt: skip


@dataclass(frozen=True)
class Band:
    """A titled row of the dashboard; its panels share its width unless widths are given."""

    title: str
    panels: Sequence[core.Panel]
    height: int = 8
    widths: Sequence[int] = ()
    collapsed: bool = False


def layout(bands: Iterable[Band]) -> list[core.Panel]:
    placed: list[core.Panel] = []
    y = 0
    for band in bands:
        row_y, x, y = y, 0, y + 1
        inside = []
        widths = band.widths or [COLUMNS // len(band.panels)] * len(band.panels)
        for panel, width in zip(band.panels, widths, strict=True):
            if x + width > COLUMNS:
                x, y = 0, y + band.height
            inside.append(attr.evolve(panel, gridPos=core.GridPos(band.height, width, x, y)))
            x += width
        row = core.RowPanel(
            title=band.title, collapsed=band.collapsed, gridPos=core.GridPos(1, COLUMNS, 0, row_y),
            panels=inside if band.collapsed else [],
        )  # fmt: skip
        placed += [row] if band.collapsed else [row, *inside]
        y = row_y + 1 if band.collapsed else y + band.height
    return placed


def variables(metric: str) -> core.Templating:
    """The data source, then the environments and the issuers that `metric` has."""

    def labels(name: str, label: str, matchers: str) -> core.Template:
        return core.Template(
            name=name, label=label, query=f"label_values({metric}{matchers}, {name})",
            dataSource=DATASOURCE, multi=True, includeAll=True, allValue=".*",
            refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
        )  # fmt: skip

    source = core.Template(name="datasource", label="Data source", type="datasource", query="prometheus")
    issuer = labels("issuer", "Issuer", '{environment=~"$environment"}')
    return core.Templating([source, labels("environment", "Environment", ""), issuer])


def annotations() -> core.Annotations:
    """Faults while they are in force, as Prometheus saw them, and what drills have told Grafana itself.

    The query looks over a whole step, for a fault may be shorter than one; Grafana makes a region of neighbouring
    steps whose value is not 0. Query and step stand at the top, where Grafana 10 reads them and later ones look too.
    """
    faults = {
        "name": "Faults in force", "datasource": DATASOURCE, "enable": True, "iconColor": "red",
        "expr": f"max by (environment, fault) (max_over_time({FAULT_ACTIVE.name}{{{ENVIRONMENT}}}[$__interval]))",
        "step": "5s", "titleFormat": "Fault {{fault}}", "textFormat": "{{environment}}", "tagKeys": "fault",
    }  # fmt: skip
    drills = {
        "name": "Drills", "datasource": GRAFANA, "enable": True, "iconColor": "purple",
        "target": {"type": "tags", "tags": [GRAFANA_TAG], "limit": 100, "matchAny": False},
    }  # fmt: skip
    return core.Annotations([faults, drills])
