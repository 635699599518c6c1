"""Alertmanager's configuration: a receiver for each route, grouping, and what silences what."""

from datetime import timedelta
from typing import Any

from jwtdrill.catalog.alerts import BURN_ALERTS, Route
from jwtdrill.catalog.objectives import TIERS, Severity
from jwtdrill.observe.timing import TimeScale

_WAIT = timedelta(seconds=30)
_INTERVAL = timedelta(minutes=5)
_REPEAT = {Severity.PAGE: timedelta(hours=1), Severity.TICKET: timedelta(days=1)}


def alertmanager_config(scale: TimeScale) -> dict[str, Any]:
    """The content of alertmanager.yml. The receivers are empty: how a team is reached is for the user to say."""
    return {
        "route": {
            "receiver": Route.PLATFORM.value,
            "group_by": ["alertname", "environment", "issuer"],
            "group_wait": scale.hold(_WAIT),
            "group_interval": scale.hold(_INTERVAL),
            "repeat_interval": scale.hold(_REPEAT[Severity.TICKET]),
            "routes": [
                {
                    "receiver": route.value,
                    "matchers": [f'route="{route}"'],
                    "routes": [
                        {
                            "receiver": route.value,
                            "matchers": [f'severity="{Severity.PAGE}"'],
                            "repeat_interval": scale.hold(_REPEAT[Severity.PAGE]),
                        }
                    ],
                }
                for route in Route
            ],
        },
        "inhibit_rules": _inhibitions(),
        "receivers": [{"name": route.value} for route in Route],
    }


def _inhibitions() -> list[dict[str, Any]]:
    """The faster tier of an objective silences the slower ones: a total outage trips them all."""
    names = "|".join(alert.name for alert in BURN_ALERTS)
    return [
        {
            "source_matchers": [f'alertname=~"{names}"', f'tier="{faster.name}"'],
            "target_matchers": [
                f'alertname=~"{names}"',
                f'tier=~"{"|".join(tier.name for tier in TIERS[place + 1 :])}"',
            ],
            "equal": ["alertname", "environment", "issuer"],
        }
        for place, faster in enumerate(TIERS[:-1])
    ]
