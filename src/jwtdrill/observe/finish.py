"""The one pass that turns grafanalib's schema 12 JSON into what Grafana itself would save."""

import json
from typing import Any, Final

from grafanalib import core
from grafanalib._gen import DashboardEncoder

Json = dict[str, Any]

SCHEMA_VERSION: Final = 39  # Grafana 10.3 to 11.x; newer ones migrate it on load
PLUGIN_VERSION: Final = "10.4.0"  # without one Grafana takes a panel for a 6.1 one and rewrites it
DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
GRAFANA: Final[Json] = {"type": "grafana", "uid": "-- Grafana --"}
IDS_PER_ROW: Final = 100
_BUILTIN: Final[Json] = {
    "builtIn": 1, "datasource": GRAFANA, "enable": True,
    "hide": True, "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts",
    "type": "dashboard",
}  # fmt: skip
_STALE_DASHBOARD: Final = {"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"}
_STALE_PANEL: Final = {
    "cacheTimeout", "color", "columns", "editable", "error", "fontSize", "height", "mappings",
    "minSpan", "span",
}  # fmt: skip
_STALE_TARGET: Final = {"query", "target", "metric", "step", "intervalFactor"}
_STALE_VARIABLE: Final = {
    "useTags", "tagsQuery", "tagValuesQuery", "auto", "auto_min", "auto_count",
}  # fmt: skip
_ROW_KEYS: Final = {"collapsed", "gridPos", "id", "panels", "title", "type"}
_NULLABLE: Final = {"id", "value", "from", "to"}  # where null says something: kept


class Board(core.Dashboard):
    """A dashboard that both this package and `generate-dashboard` write finished."""

    def to_json_data(self) -> Json:
        return finish(super().to_json_data())  # type: ignore[no-untyped-call]


def render(dashboard: core.Dashboard) -> str:
    """The very bytes that `generate-dashboard -o` writes."""
    data = json.dumps(dashboard, cls=DashboardEncoder, sort_keys=True, indent=2)
    return data + "\n"


def finish(dashboard: Json) -> Json:
    """Bring grafanalib's schema 12 output to SCHEMA_VERSION: what Grafana itself would save."""
    data: Json = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    if not data.get("uid"):
        raise ValueError(f"dashboard {data['title']!r} has no uid")
    data = {key: value for key, value in data.items() if key not in _STALE_DASHBOARD}
    data |= {"schemaVersion": SCHEMA_VERSION, "editable": False, "id": None}
    data["annotations"]["list"] = [_BUILTIN, *data["annotations"]["list"]]
    data["timepicker"].pop("time_options", None)
    data["templating"]["list"] = [_variable(v) for v in data["templating"]["list"]]
    base = offset = 0
    for index, panel in enumerate(data["panels"]):
        base, offset = (base + IDS_PER_ROW, 0) if panel["type"] == "row" else (base, offset + 1)
        data["panels"][index] = _panel(panel, base + offset)
    finished: Json = _prune(data)
    return finished


def _variable(variable: Json) -> Json:
    kept = {key: value for key, value in variable.items() if key not in _STALE_VARIABLE}
    kept["current"] = {"selected": False, "text": "default", "value": "default"}
    if kept["type"] == "query":
        ref = "PrometheusVariableQueryEditor-VariableQuery"
        kept["query"] = {"qryType": 1, "query": kept["query"], "refId": ref}
        kept["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return kept


def _panel(panel: Json, number: int) -> Json:
    if panel["type"] == "row":
        nested = [_panel(p, number + n) for n, p in enumerate(panel["panels"], 1)]
        return {k: v for k, v in panel.items() if k in _ROW_KEYS} | {"id": number, "panels": nested}
    panel = {key: value for key, value in panel.items() if key not in _STALE_PANEL}
    panel |= {"id": number, "datasource": DATASOURCE, "pluginVersion": PLUGIN_VERSION}
    panel["targets"] = [
        {key: value for key, value in target.items() if key not in _STALE_TARGET and value != ""}
        | {"datasource": DATASOURCE}
        for target in panel["targets"]
    ]
    legend = panel["options"].get("legend")
    if legend is not None and "displayMode" in legend:
        legend.setdefault("showLegend", True)  # the 37 migration would have: hidden without it
    panel["fieldConfig"].setdefault("overrides", [])
    defaults = panel["fieldConfig"]["defaults"]
    # core.Threshold writes "null" for null, and keys of the old graph panel
    defaults["thresholds"]["steps"] = [
        {"color": s["color"], "value": None if s["value"] == "null" else s["value"]}
        for s in defaults["thresholds"]["steps"]
    ]
    custom = defaults.setdefault("custom", {})
    if panel["type"] == "table":  # the 38 migration
        custom |= {"cellOptions": {"type": custom.pop("displayMode", "auto")}, "inspect": False}
    return panel


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v is not None or k in _NULLABLE}
        return {key: _prune(item) for key, item in kept.items()}
    return [_prune(item) for item in value] if isinstance(value, list) else value
