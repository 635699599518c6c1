"""The whole catalogue as plain records: what `jwtdrill catalog` prints and docs/catalog.md is made of."""

import re
from datetime import timedelta
from typing import Any

from jwtdrill.catalog.alerting import Alert, DetectionAlert
from jwtdrill.catalog.alerts import DETECTION_ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.metrics import METRICS
from jwtdrill.catalog.objectives import Objective, objectives
from jwtdrill.catalog.reasons import Reason
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS

Records = list[dict[str, Any]]
_MADE = """Made by `jwtdrill catalog --markdown`: do not edit, `make build` again. Of an alert, `soonest_seconds` is the
smallest window in which it can fire, beside scrape and evaluation."""
_TEMPLATE = re.compile(r"\{\{ \$(?:labels\.(\w+)|value).*?\}\}")


def listing(given: tuple[Objective, ...] | None = None) -> dict[str, Records]:
    """Title to records, with those objectives or the package's; every record of a title has the same keys."""
    given = given or objectives()
    return {
        "metrics": [
            {"name": m.name, "kind": m.kind, "labels": list(m.labels), "help": m.help, "ids": list(m.requirements)}
            for m in METRICS
        ],
        "reasons": [{"reason": reason, "blame": reason.blame} for reason in Reason],
        "objectives": [
            {
                "id": o.id,
                "requirement": o.requirement,
                "indicator": o.indicator,
                "objective": o.objective,
                "threshold": o.threshold,
                "period_days": o.period_days,
                "tiers": [tier.name for tier in o.burn_tiers],
            }
            for o in given
        ],
        "alerts": [
            *(_burn_alert(objective) for objective in given if objective.guarded),
            *(_detection_alert(alert) for alert in (*DETECTION_ALERTS, *WATCHING_ALERTS)),
        ],
        "failure modes": [
            {
                "id": f.id,
                "name": f.name,
                "cause": f.cause,
                "signal": f.signal,
                "alerts": list(f.alerts),
                "panel": list(f.panel),
                "faults": list(f.faults),
                "drills": list(f.drills),
            }
            for f in FAILURE_MODES
        ],
    }


def _burn_alert(objective: Objective) -> dict[str, Any]:
    severities = sorted({tier.severity.value for tier in objective.burn_tiers})
    return _record(burn_alert(objective), severities, objective.soonest, burn_alert(objective).runbook)


def _detection_alert(alert: DetectionAlert) -> dict[str, Any]:
    return _record(alert, [alert.severity.value], alert.soonest, alert.name)


def _record(alert: Alert, severities: list[str], soonest: timedelta, runbook: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "severity": severities,
        "route": alert.route,
        "detects": list(alert.detects),
        "soonest_seconds": soonest.total_seconds(),
        "silences": list(alert.silences),
        "runbook": f"docs/runbooks/{runbook}.md",
        "meaning": _TEMPLATE.sub(lambda found: found[1] or "N", alert.hurt),
    }


def to_markdown(content: dict[str, Records]) -> str:
    """The page docs/catalog.md."""
    parts = [
        "# Catalogue",
        _MADE,
    ]
    for title, records in content.items():
        columns = list(records[0])
        rows = [
            columns,
            ["---"] * len(columns),
            *([_escaped(cell(record[name])) for name in columns] for record in records),
        ]
        parts += [f"## {title[0].upper()}{title[1:]}", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    return "\n\n".join(parts) + "\n"


def cell(value: object) -> str:
    """A record's value as text."""
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
