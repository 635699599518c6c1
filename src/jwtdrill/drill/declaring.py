"""Tells Alertmanager which alerts a drill will raise, so that nobody is woken by these, and by others still is.

For each a `JwtDrillDeclared` is sent, which inhibits the alert that it declares in that environment at that issuer. It
is a lease too: renewed while the drill lasts, and over by itself soon after this process is gone.
"""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx

from jwtdrill.catalog.alerts import DRILL_DECLARED
from jwtdrill.catalog.metrics import ENVIRONMENT
from jwtdrill.catalog.objectives import TIERS, Severity
from jwtdrill.drill.watcher import alertmanager_of
from jwtdrill.errors import MissingPartError
from jwtdrill.target.model import Target

_LEASE = 15.0  # seconds; Alertmanager shortens none that it has been told of
_TIMEOUT = 5.0
_LONGEST_SHORT_WINDOW = max(tier.short.total_seconds() for tier in TIERS if tier.severity is Severity.PAGE)


class Declaration:
    """Declares these alerts until it is closed. Raises MissingPartError when Alertmanager does not take it."""

    def __init__(self, target: Target, alerts: Iterable[str]) -> None:
        self._url = f"{alertmanager_of(target)}/api/v2/alerts"
        where = {ENVIRONMENT: target.environment.value, "issuer": target.issuer.url}
        self._labels = [{"alertname": DRILL_DECLARED, "declares": name, **where} for name in sorted(set(alerts))]
        self._lingers = _LONGEST_SHORT_WINDOW / target.watch.time_scale
        self._began = time.time()
        self._over = threading.Event()
        self._send(_LEASE)
        self._thread = threading.Thread(target=self._renew, name="declaration", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Renew no more. It lasts on while the windows forget the fault, for an alert that resolves late wakes too.

        Raises MissingPartError.
        """
        self._over.set()
        self._thread.join(2 * _TIMEOUT)
        self._send(self._lingers)

    def _renew(self) -> None:
        while not self._over.wait(_LEASE / 3):
            try:
                self._send(_LEASE)
            except MissingPartError:
                continue  # the watcher says so, and what was sent before holds for two more tries

    def _send(self, lasts: float) -> None:
        times = {"startsAt": _moment(self._began), "endsAt": _moment(time.time() + lasts)}
        summary = {"summary": "A drill raises this alert on purpose."}
        content: list[dict[str, Any]] = [{"labels": labels, "annotations": summary, **times} for labels in self._labels]
        try:
            httpx.post(self._url, json=content, timeout=_TIMEOUT).raise_for_status()
        except httpx.HTTPError as error:
            raise MissingPartError(
                f"Alertmanager at {self._url} does not take what the drill declares ({type(error).__name__})"
            ) from None


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()
