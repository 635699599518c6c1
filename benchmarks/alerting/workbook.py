"""The plain form of the SRE workbook, chapter "Alerting on SLOs": ratios of rates, and two windows for each tier.

It knows neither blame nor a least number of errors, and `rate` sees nothing of a counter's first value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.alerting.ours import Firing
from benchmarks.alerting.traffic import FAILURE, STEP, VERIFICATION, Array, Series
from benchmarks.alerting.windows import rate
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.catalog.promql import promql_duration

ALERT = "ErrorBudgetBurn"


@dataclass(frozen=True)
class Tier:
    """long, short: windows in seconds."""

    name: str
    factor: float
    long: float
    short: float
    severity: Severity


# Table 5-8 of the workbook.
TIERS = (
    Tier("14.4x", 14.4, 3600, 300, Severity.PAGE),
    Tier("6x", 6, 6 * 3600, 1800, Severity.PAGE),
    Tier("3x", 3, 86400, 2 * 3600, Severity.TICKET),
    Tier("1x", 1, 3 * 86400, 6 * 3600, Severity.TICKET),
)


def rules(objective: Objective, tiers: Sequence[Tier] = TIERS) -> dict[str, Any]:
    """The content of a Prometheus rule file."""
    windows = sorted({window for tier in tiers for window in (tier.long, tier.short)})
    return {
        "groups": [
            {
                "name": "workbook",
                "interval": f"{STEP}s",
                "rules": [
                    *({"record": _ratio(window), "expr": _expression(window)} for window in windows),
                    *(
                        {
                            "alert": ALERT,
                            "expr": f"{_ratio(tier.long)} > {_threshold(objective, tier)}\n"
                            f"and {_ratio(tier.short)} > {_threshold(objective, tier)}",
                            "labels": {"severity": tier.severity.value, "tier": tier.name},
                        }
                        for tier in tiers
                    ),
                ],
            }
        ]
    }


def firing(series: Sequence[Series], objective: Objective, tiers: Sequence[Tier] = TIERS) -> Firing:
    """When each tier fires, step by step."""
    counters = [one for one in series if one.metric == VERIFICATION]
    values = np.array([one.values for one in counters])
    failures = np.array([one.labels["result"] == FAILURE for one in counters])
    ratios = {window: _errors(values, failures, window) for tier in tiers for window in (tier.long, tier.short)}
    return {
        tier.name: (ratios[tier.long] > float(_threshold(objective, tier)))
        & (ratios[tier.short] > float(_threshold(objective, tier)))
        for tier in tiers
    }


def _errors(values: Array, failures: Array, window: float) -> Array:
    """Errors per request."""
    rates = rate(values, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nansum(rates[failures], axis=0) / np.nansum(rates, axis=0))


def _ratio(window: float) -> str:
    return f"job:slo_errors_per_request:ratio_rate{promql_duration(window)}"


def _expression(window: float) -> str:
    over = promql_duration(window)
    by = "sum by (environment, issuer)"
    return f'{by} (rate({VERIFICATION}{{result="{FAILURE}"}}[{over}]))\n/ {by} (rate({VERIFICATION}[{over}]))'


def _threshold(objective: Objective, tier: Tier) -> str:
    return f"{tier.factor * objective.budget:.6g}"
