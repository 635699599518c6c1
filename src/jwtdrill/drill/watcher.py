"""Watches Alertmanager while a drill runs, and asks Prometheus afterwards."""

import threading
import time
from collections.abc import Iterable
from typing import Any

import httpx

from jwtdrill.catalog.alerts import DRILL_DECLARED
from jwtdrill.drill.record import AlertSpan
from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.model import Target

BETWEEN_DRILLS = ("JwtCanaryStopped",)  # the last drill's canary, until the next one's sings
_POLL_SECONDS = 0.25
_TIMEOUT = 5.0


class AlertWatcher:
    """Polls in a thread of its own; `spans` is what was seen so far."""

    def __init__(self, alertmanager: str) -> None:
        self._url = f"{alertmanager}/api/v2/alerts"
        self._spans: dict[str, AlertSpan] = {}
        self._over = threading.Event()
        self.failures = 0
        self._poll()  # raises when nobody answers
        self._thread = threading.Thread(target=self._run, name="alert-watcher", daemon=True)
        self._thread.start()

    def spans(self) -> list[AlertSpan]:
        """Every alert seen, the earliest first."""
        return sorted(self._spans.values(), key=lambda span: (span.first_seen, span.name))

    def active(self) -> list[AlertSpan]:
        """Those seen at the last look, and that somebody is told of."""
        now = time.time()
        return [s for s in self.spans() if now - s.last_seen < 4 * _POLL_SECONDS and not s.suppressed]

    def stop(self) -> None:
        """End the watch."""
        self._over.set()
        self._thread.join(_TIMEOUT)

    def _run(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            try:
                self._poll()
            except MissingPartError:
                self.failures += 1

    def _poll(self) -> None:
        try:
            alerts = httpx.get(self._url, timeout=_TIMEOUT).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise MissingPartError(
                f"Alertmanager at {self._url} does not answer ({type(error).__name__}): is it running?"
            ) from None
        now = time.time()
        declared = {alert["fingerprint"] for alert in alerts if alert["labels"]["alertname"] == DRILL_DECLARED}
        for alert in alerts:
            if alert["fingerprint"] not in declared:
                self._note(alert, now, suppressed=_kept_from_people(alert["status"], declared))

    def _note(self, alert: dict[str, Any], now: float, *, suppressed: bool) -> None:
        labels: dict[str, str] = alert["labels"]
        span = self._spans.get(alert["fingerprint"])
        if span is None:
            self._spans[alert["fingerprint"]] = AlertSpan(
                labels["alertname"], labels.get("severity", ""), labels, now, now, suppressed
            )
            return
        if span.suppressed and not suppressed:
            span.first_seen = now  # only now is anybody told
        span.last_seen = now
        span.suppressed = span.suppressed and suppressed


def _kept_from_people(status: dict[str, Any], declared: set[str]) -> bool:
    """Whether nobody would hear of it, had the drill not declared it: that alone is no reason to call it missed."""
    by_drill = not status["silencedBy"] and set(status["inhibitedBy"]) <= declared
    return status["state"] == "suppressed" and not by_drill


def alertmanager_of(target: Target) -> str:
    """Where its alerts are seen. Raises BadInputError."""
    if target.watch.alertmanager is None:
        raise BadInputError(f"{target.path}: no alertmanager under [watch]: set it, or run --without-alerts")
    return target.watch.alertmanager


def query_range(prometheus: str, expr: str, begin: float, end: float) -> dict[str, list[tuple[float, float]]]:
    """Points per second of each series, by its labels as text; empty when Prometheus does not answer."""
    try:
        answer = httpx.get(
            f"{prometheus}/api/v1/query_range",
            params={"query": expr, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": "1"},
            timeout=_TIMEOUT,
        ).raise_for_status()
        series = answer.json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError):
        return {}
    return {_name(one["metric"]): [(float(t), float(v)) for t, v in one["values"]] for one in series}


def _name(labels: dict[str, str]) -> str:
    shown: Iterable[str] = (f"{k}={v}" for k, v in sorted(labels.items()) if k not in ("__name__", "environment"))
    return ", ".join(shown)
