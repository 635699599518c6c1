"""The alerts that guard the objectives' error budgets."""

from dataclasses import replace

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import GROUP, BurnAlert, Route
from jwtdrill.catalog.objectives import Indicator, Objective

_CHECK = "jwtdrill check TARGET"


def _most(metric: metrics.Metric, by: str, more: str = "") -> str:
    """PromQL of the one series, by those labels, with most failures of late."""
    return f'topk(1, sum by ({by}) (increase({metric.name}{{$SCOPE, result="failure"{more}}}[5m])) > 0)'


BURN_ALERTS: tuple[BurnAlert, ...] = (
    BurnAlert(
        "issuance",
        "JwtIssuanceBudgetBurn",
        Route.PLATFORM,
        ("F12",),
        hurt="clients get no tokens",
        first=_CHECK,
        silences=("JwtIssuanceLatencyBudgetBurn", "JwtIssuanceDrop", "JwtCanaryBudgetBurn"),
        culprit=_most(metrics.ISSUANCE, "grant_type, error"),
    ),
    BurnAlert(
        "issuance_latency",
        "JwtIssuanceLatencyBudgetBurn",
        Route.PLATFORM,
        ("F12",),
        hurt="clients wait for tokens",
        first=_CHECK,
    ),
    BurnAlert(
        "verification",
        "JwtVerificationBudgetBurn",
        Route.PLATFORM,
        ("F5", "F8", "F9", "F10"),
        hurt="good tokens are refused",
        first=_CHECK,
        silences=(
            "JwtVerificationLatencyBudgetBurn",
            "JwtCanaryBudgetBurn",
            "JwtAmbiguousFailures",
            "JwtAuthFailureRatio",
        ),
        culprit=_most(metrics.VERIFICATION, "audience, reason"),
    ),
    BurnAlert(
        "verification_latency",
        "JwtVerificationLatencyBudgetBurn",
        Route.SERVICE,
        ("F10",),
        hurt="requests wait for token verification",
        first=_CHECK,
    ),
    BurnAlert(
        "introspection",
        "JwtIntrospectionBudgetBurn",
        Route.PLATFORM,
        ("F13",),
        hurt="services that introspect refuse everybody",
        first=_CHECK,
        silences=("JwtIntrospectionLatencyBudgetBurn",),
    ),
    BurnAlert(
        "introspection_latency",
        "JwtIntrospectionLatencyBudgetBurn",
        Route.PLATFORM,
        ("F13",),
        hurt="requests wait for token introspection",
        first=_CHECK,
    ),
    BurnAlert(
        "canary",
        "JwtCanaryBudgetBurn",
        Route.PLATFORM,
        ("F5", "F8", "F9", "F10", "F12"),
        hurt="known-good tokens are refused or not to be had, and so are users'",
        first=_CHECK,
        culprit=_most(metrics.CANARY, "resource"),
    ),
)
_BY_INDICATOR = {
    Indicator.ISSUANCE_SUCCESS: "issuance",
    Indicator.ISSUANCE_LATENCY: "issuance_latency",
    Indicator.VERIFICATION_SUCCESS: "verification",
    Indicator.VERIFICATION_LATENCY: "verification_latency",
    Indicator.INTROSPECTION_SUCCESS: "introspection",
    Indicator.INTROSPECTION_LATENCY: "introspection_latency",
    Indicator.CANARY_SUCCESS: "canary",
}


def burn_alert(objective: Objective) -> BurnAlert:
    """The alert of that objective; one of a user's own is named by its id, and reads the page of its indicator."""
    by = (*GROUP, *objective.by)
    known = {alert.objective_id: alert for alert in BURN_ALERTS}
    if objective.id in known:
        return replace(known[objective.id], by=by)
    like = known[_BY_INDICATOR[objective.indicator]]
    name = "".join(part.capitalize() for part in objective.id.replace("-", "_").split("_"))
    return replace(
        like,
        objective_id=objective.id,
        name=f"Jwt{name}BudgetBurn",
        detects=(),
        silences=(),
        page=like.name,
        by=by,
    )
