"""The alerts: one burn-rate alert per objective, and the detection alerts.

A detection alert's `expr` is PromQL at real window lengths; a build with another time scale divides every window
in brackets and `hold`. Summaries and descriptions use Alertmanager's label templates.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from jwtdrill.catalog import metrics
from jwtdrill.catalog.objectives import Objective, Severity

CLOCK_TOLERANCE = 2.0  # seconds; iat is a whole second, and clocks kept by NTP agree within one
FAILED_FETCHES = 3  # with the cache's back-off an endpoint that is down gives these within seconds


class Route(StrEnum):
    """The team that an alert goes to."""

    SECURITY = "security"
    PLATFORM = "platform"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class DetectionAlert:
    """An alert on one condition. `detects`: ids of failure modes; `hold`: the rule's `for`."""

    name: str
    expr: str
    hold: timedelta
    severity: Severity
    route: Route
    detects: tuple[str, ...]
    summary: str
    description: str


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """The alert that guards one objective; it becomes one rule for each tier."""

    objective_id: str
    name: str
    route: Route
    detects: tuple[str, ...]
    hurt: str


BURN_ALERTS: tuple[BurnAlert, ...] = (
    BurnAlert("issuance", "JwtIssuanceBudgetBurn", Route.PLATFORM, ("F12",), "clients get no tokens"),
    BurnAlert(
        "verification",
        "JwtVerificationBudgetBurn",
        Route.PLATFORM,
        ("F8", "F9", "F10"),
        "good tokens are refused",
    ),
    BurnAlert(
        "verification_latency",
        "JwtVerificationLatencyBudgetBurn",
        Route.SERVICE,
        ("F10",),
        "requests wait for token verification",
    ),
)

_FETCH = metrics.JWKS_FETCH.name
DETECTION_ALERTS: tuple[DetectionAlert, ...] = (
    DetectionAlert(
        name="JwtJwksFetchFailing",
        expr=(
            "count by (environment, issuer) (\n"
            f'  increase({_FETCH}{{result="failure"}}[5m]) >= {FAILED_FETCHES}\n'
            "  unless on (environment, issuer, job, instance)\n"
            f'  increase({_FETCH}{{result="success"}}[5m]) > 0\n'
            ") > 0"
        ),
        hold=timedelta(minutes=1),
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F10", "F5"),
        summary="{{ $value }} verifier(s) cannot fetch the keys of {{ $labels.issuer }} ({{ $labels.environment }})",
        description=(
            "Every fetch of the key set failed in the last five minutes. Verification goes on with the keys on "
            "hand until their stale limit, then every token is refused."
        ),
    ),
    DetectionAlert(
        name="JwtClockOffset",
        expr=(f"min by (environment, issuer) ({metrics.TOKEN_CLOCK_OFFSET.name}) < -{CLOCK_TOLERANCE:g}"),
        hold=timedelta(minutes=2),
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F9",),
        summary=(
            "A clock is wrong by {{ $value | humanizeDuration }}: tokens of {{ $labels.issuer }} "
            "({{ $labels.environment }}) come from the future"
        ),
        description=(
            "A verifier sees well-signed tokens that were issued later than its own clock says: the issuer's "
            "clock is ahead or the verifier's is behind."
        ),
    ),
)

ALERT_NAMES: tuple[str, ...] = tuple(a.name for a in BURN_ALERTS) + tuple(a.name for a in DETECTION_ALERTS)


def burn_alert(objective: Objective) -> BurnAlert:
    """The alert of that objective; one of a user's own gets a name made from its id."""
    for alert in BURN_ALERTS:
        if alert.objective_id == objective.id:
            return alert
    name = "".join(part.capitalize() for part in objective.id.replace("-", "_").split("_"))
    return BurnAlert(objective.id, f"Jwt{name}BudgetBurn", Route.PLATFORM, (), objective.title.lower())
