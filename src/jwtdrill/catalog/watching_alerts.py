"""Alerts on the watching itself: whoever is blind hears nothing, and takes it for peace."""

from datetime import timedelta

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import DetectionAlert, Route
from jwtdrill.catalog.metrics import Metric
from jwtdrill.catalog.objectives import Severity
from jwtdrill.catalog.promql import ASKS_IN_VAIN, CALLS, EVENTS_ALL, ask, events

_MINUTE = timedelta(minutes=1)
_WATCHED = (metrics.VERIFICATION, metrics.ISSUANCE, metrics.INTROSPECTION)
# Of which each target that matters has one, with few labels.
_MARKS = "|".join(metric.name for metric in (metrics.JWKS_KEYS, metrics.SIGNING_KEY_INFO, metrics.JWKS_AGE))
_OURS = '{rule_group=~".*;jwtdrill.*"}'
_TARGETS = "curl -sS $PROMETHEUS/api/v1/targets | jq '.data.activeTargets[] | select(.health != \"up\")'"
_RULES = "curl -sS $PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | select(.health != \"ok\")'"


def _gone(metric: Metric) -> str:
    """Issuers of which it was recorded in the last day, and is not now."""
    known = f"group by (environment, issuer) (last_over_time({metric.events}[1d:5m]))"
    now = f"group by (environment, issuer) ({metric.events})"
    return f'label_replace({known} unless {now}, "metric", "{metric.name}", "", "")'


def _unrecorded(metric: Metric) -> str:
    """Issuers of which it comes in, and is not recorded."""
    return f"group by (environment, issuer) ({metric.name}) unless group by (environment, issuer) ({metric.events})"


WATCHING_ALERTS: tuple[DetectionAlert, ...] = (
    DetectionAlert(
        name="JwtWatchingBlind",
        expr=(
            f"group by (environment) (last_over_time({EVENTS_ALL}[1d:5m]))\n"
            f"unless group by (environment) ({EVENTS_ALL})"
        ),
        hold=3 * _MINUTE,
        severity=Severity.PAGE,
        route=Route.PLATFORM,
        detects=(),
        hurt="nobody would hear of an outage, for no metric of issuers, verifiers or canary comes in any more",
        first=_TARGETS,
        description="Every series is gone: scraping, service discovery or the network is broken, or all is down.",
        silences=("JwtMetricsMissing", "JwtTargetDown", "JwtCanaryStopped"),
        by=("environment",),
    ),
    DetectionAlert(
        name="JwtNothingWatched",
        expr=f"absent(last_over_time({EVENTS_ALL}[1d:5m]) or {EVENTS_ALL})",
        hold=15 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="nobody would hear of an outage, for no metric of issuers, verifiers or canary has come in",
        first=_TARGETS,
        description="In the last day there was none that an objective is judged by. See whether anything is scraped.",
        by=(),
    ),
    DetectionAlert(
        name="JwtMetricsMissing",
        expr="\nor ".join(_gone(metric) for metric in _WATCHED),
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="nobody would hear of some outages, for {{ $labels.metric }} is gone",
        first=_TARGETS,
        description="It came in within the last day and does not now. What is not measured burns no budget.",
        by=("environment", "issuer", "metric"),
    ),
    DetectionAlert(
        name="JwtTargetDown",
        expr=(
            "count by (environment, job) (up == 0)\n"
            f'and on (environment, job) last_over_time({{__name__=~"{_MARKS}"}}[1d:5m])'
        ),
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="{{ $value }} target(s) of {{ $labels.job }} cannot be scraped: down, or out of sight",
        first=_TARGETS,
        description="What happens there is counted nowhere until it is back.",
        by=("environment", "job"),
        culprit="topk(1, 1 - up{$SCOPE})",
    ),
    DetectionAlert(
        name="JwtRulesNotEvaluated",
        expr=f"{_unrecorded(metrics.VERIFICATION)}\nor {_unrecorded(metrics.CANARY)}",
        hold=2 * _MINUTE,
        severity=Severity.PAGE,
        route=Route.PLATFORM,
        detects=(),
        hurt="nobody would hear of an outage, for metrics come in and the rules record nothing of them",
        first=_RULES,
        description="The group jwtdrill is not loaded, fails, or takes longer than its interval.",
        silences=("JwtWatchingBlind", "JwtMetricsMissing", "JwtCanaryStopped"),
    ),
    DetectionAlert(
        name="JwtRulesFailing",
        expr=(
            f"sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{_OURS}[5m])) > 0\n"
            f"or sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total{_OURS}[5m])) > 0"
        ),
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="some alerts may be deaf, for rules of {{ $labels.rule_group }} fail or come late",
        first=_RULES,
        description="Seen where Prometheus scrapes itself. An evaluation that fails or is left out loses events.",
        by=("rule_group",),
    ),
    DetectionAlert(
        name="JwtCanaryStopped",
        expr=(
            f"group by (environment, issuer) (last_over_time({metrics.CANARY.events}[1d:5m]))\n"
            f"unless {events(metrics.CANARY, '5m', CALLS)} > 0\n"
            f"unless {events(metrics.CANARY, '5m', ASKS_IN_VAIN)} > 0"
        ),
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="an outage would pass for an attack, for the canary sings no more",
        first="jwtdrill canary TARGET",
        description="It sang within the last day. Without it ambiguous refusals burn no budget, and page nobody.",
        builds_up=5 * _MINUTE,
    ),
    DetectionAlert(
        name="JwtFaultLeft",
        expr=f"max by (environment, fault) ({metrics.FAULT_ACTIVE.name}) == 1",
        hold=65 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=(),
        hurt="the injected fault {{ $labels.fault }} has been in force for more than an hour",
        first=ask("jwtdrill_fault_active == 1"),
        description="No fault is allowed a whole hour. Somebody keeps it alive, or its agent does not end it.",
        by=("environment", "fault"),
        scaled=False,  # for drills last as long however fast they are watched
    ),
)
