"""All alerts: one for each objective's error budget, and one for each condition that is watched for."""

from jwtdrill.catalog.alerting import Alert, DetectionAlert
from jwtdrill.catalog.burn_alerts import BURN_ALERTS
from jwtdrill.catalog.key_alerts import KEY_ALERTS
from jwtdrill.catalog.token_alerts import TOKEN_ALERTS
from jwtdrill.catalog.watching_alerts import WATCHING_ALERTS

DRILL_DECLARED = "JwtDrillDeclared"  # sent by a drill itself, while it lasts, for each alert that it expects
DETECTION_ALERTS: tuple[DetectionAlert, ...] = (*TOKEN_ALERTS, *KEY_ALERTS)
ALERTS: tuple[Alert, ...] = (*BURN_ALERTS, *DETECTION_ALERTS, *WATCHING_ALERTS)
ALERT_NAMES: tuple[str, ...] = tuple(alert.name for alert in ALERTS)
