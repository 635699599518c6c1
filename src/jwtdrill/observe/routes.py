"""Alertmanager's configuration: who hears of what, grouped by issuer and environment, and what silences what."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jwtdrill.catalog.alerting import GROUP, Alert, DetectionAlert, Route
from jwtdrill.catalog.alerts import ALERTS, DRILL_DECLARED
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.observe.timing import TimeScale

NOBODY = "nobody"
_WAIT = timedelta(seconds=30)  # until a first notification, for what belongs together to be in it
_INTERVAL = timedelta(minutes=5)
_REPEAT = {Severity.PAGE: timedelta(hours=1), Severity.TICKET: timedelta(days=1)}


@dataclass(frozen=True)
class Receivers:
    """What takes the notifications, to be replaced by the user's own.

    url: below which each receiver has a path of its name. secrets: the folder of a file for each, of its name, from
    which Alertmanager reads the bearer token when it sends.
    """

    url: str = "https://alerts.example/jwtdrill"
    secrets: str = "/etc/alertmanager/secrets"


def receiver(route: Route, severity: Severity) -> str:
    """The name of who hears of such alerts."""
    return f"{route}-{severity}"


def alertmanager_config(
    objectives: Iterable[Objective], scale: TimeScale, receivers: Receivers | None
) -> dict[str, Any]:
    """The content of alertmanager.yml. receivers: None where nobody is told."""
    guarded = [objective for objective in objectives if objective.guarded]
    return {
        "route": {
            "receiver": receiver(Route.PLATFORM, Severity.TICKET),
            "group_by": list(GROUP),
            "group_wait": scale.hold(_WAIT),
            "group_interval": scale.hold(_INTERVAL),
            "repeat_interval": scale.hold(_REPEAT[Severity.TICKET]),
            "routes": [
                {"receiver": NOBODY, "matchers": [_is("alertname", DRILL_DECLARED)]},
                *(
                    {
                        "receiver": receiver(route, severity),
                        "matchers": [_is("route", route), _is("severity", severity)],
                        "repeat_interval": scale.hold(_REPEAT[severity]),
                    }
                    for route in Route
                    for severity in Severity
                ),
            ],
        },
        "inhibit_rules": [*_tiers(guarded), *_symptoms(), *_declared(guarded)],
        "receivers": [
            {"name": NOBODY},
            *(_receiver(receiver(route, severity), receivers) for route in Route for severity in Severity),
        ],
    }


def _receiver(name: str, receivers: Receivers | None) -> dict[str, Any]:
    if receivers is None:
        return {"name": name}
    secret = {"authorization": {"credentials_file": f"{receivers.secrets}/{name}"}}
    return {"name": name, "webhook_configs": [{"url": f"{receivers.url}/{name}", "http_config": secret}]}


def _is(label: str, *values: str) -> str:
    return f'{label}="{values[0]}"' if len(values) == 1 else f'{label}=~"{"|".join(values)}"'


def _tiers(guarded: Iterable[Objective]) -> list[dict[str, Any]]:
    """The faster tier of an objective silences the slower ones: a total outage trips them all."""
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for objective in guarded:
        tiers = tuple(tier.name for tier in objective.burn_tiers)
        alike.setdefault((tiers, objective.by), []).append(burn_alert(objective).name)
    return [
        {
            "source_matchers": [_is("alertname", *names), _is("tier", faster)],
            "target_matchers": [_is("alertname", *names), _is("tier", *tiers[place + 1 :])],
            "equal": ["alertname", *GROUP, *by],
        }
        for (tiers, by), names in alike.items()
        for place, faster in enumerate(tiers[:-1])
    ]


def _symptoms() -> list[dict[str, Any]]:
    """A cause silences its symptoms; a ticket never silences a page."""
    known = {alert.name: alert for alert in ALERTS}
    rules = []
    for cause in ALERTS:
        alike: dict[tuple[str, ...], list[str]] = {}
        for name in cause.silences:
            alike.setdefault(_common(cause, known[name]), []).append(name)
        for equal, names in alike.items():
            for severity in _severities(cause):
                targets = [_is("alertname", *names)]
                if severity is Severity.TICKET:
                    targets.append(_is("severity", severity))
                rules.append(
                    {
                        "source_matchers": [_is("alertname", cause.name), _is("severity", severity)],
                        "target_matchers": targets,
                        "equal": list(equal),
                    }
                )
    return rules


def _declared(guarded: Iterable[Objective]) -> list[dict[str, Any]]:
    """A drill that is declared silences what it declares, each alert by its name, and nothing else."""
    own = [burn_alert(objective) for objective in guarded]
    every = {alert.name: alert for alert in (*own, *ALERTS) if _common(alert, alert)}
    return [
        {
            "source_matchers": [_is("alertname", DRILL_DECLARED), _is("declares", name)],
            "target_matchers": [_is("alertname", name)],
            "equal": list(_common(alert, alert)),
        }
        for name, alert in every.items()
    ]


def _common(one: Alert, other: Alert) -> tuple[str, ...]:
    """The labels of GROUP that both carry."""
    return tuple(name for name in GROUP if name in one.by and name in other.by)


def _severities(alert: Alert) -> tuple[Severity, ...]:
    return (alert.severity,) if isinstance(alert, DetectionAlert) else tuple(Severity)
