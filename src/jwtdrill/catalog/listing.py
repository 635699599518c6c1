"""The whole catalogue as plain records: what `jwtdrill catalog` prints and the docs' tables are compared with."""

from typing import Any

from jwtdrill.catalog.alerts import BURN_ALERTS, DETECTION_ALERTS
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.metrics import METRICS
from jwtdrill.catalog.objectives import objectives
from jwtdrill.catalog.reasons import Reason

Records = list[dict[str, Any]]


def listing() -> dict[str, Records]:
    """Title to records; every record of a title has the same keys."""
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
                "tiers": list(o.tiers),
            }
            for o in objectives()
        ],
        "alerts": _alerts(),
        "failure modes": [
            {
                "id": f.id,
                "name": f.name,
                "faults": list(f.faults),
                "alerts": list(f.alerts),
                "panel": list(f.panel),
                "drill": f.drill,
            }
            for f in FAILURE_MODES
        ],
    }


def _alerts() -> Records:
    tiers = {o.id: sorted({tier.severity.value for tier in o.burn_tiers}) for o in objectives()}
    return [
        {"alert": b.name, "severity": tiers.get(b.objective_id, []), "route": b.route, "detects": list(b.detects)}
        for b in BURN_ALERTS
    ] + [
        {"alert": d.name, "severity": [d.severity.value], "route": d.route, "detects": list(d.detects)}
        for d in DETECTION_ALERTS
    ]
