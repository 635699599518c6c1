"""Items of the preflight that are seen through what watches the target: metrics, alerts, runbooks, rotations."""

import re
import time
from typing import Any

import httpx

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.catalog.objectives import objectives
from jwtdrill.probe.items import Checklist, Item, either, passed, unknown
from jwtdrill.target.model import Target

_MOST_WAIT = 5.0
_DAY = 86400.0
_MOST_KEY_AGE = 90 * _DAY
_READY = Checklist.READY
_RULES, _KEPT = "alerts are loaded", "Prometheus keeps what the objectives look back on"
_RUNBOOKS, _ROTATION = "runbooks are at hand", "keys are rotated"
_SEEN_THROUGH_PROMETHEUS = (_RULES, _KEPT, _RUNBOOKS, _ROTATION)
_RETENTION = re.compile(r"(\d+)(y|w|d|h|m|s)(?![a-z])")  # of time; a size limit may stand beside it
_SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}


async def watched_items(target: Target, client: httpx.AsyncClient) -> list[Item]:
    """Each passes, fails, or cannot be told where the target file names nothing that watches."""
    watch = target.watch
    arrive, up = "metrics arrive at Prometheus", "Alertmanager is up"
    if watch.prometheus is None:
        hint = "name prometheus under [watch]"
        items = [unknown(arrive, hint), *(unknown(name, hint, "", _READY) for name in _SEEN_THROUGH_PROMETHEUS)]
    else:
        found = await _value(client, watch.prometheus, f"count({metrics.VERIFICATION.name})")
        seen = f"{metrics.VERIFICATION.name} is {'there' if found else 'missing'}"
        loaded = await _alerts(client, watch.prometheus)
        lacking = sorted(set(ALERT_NAMES) - loaded.keys())
        items = [
            either(bool(found), arrive, seen, "scrape the verifiers, or map another system's metrics"),
            either(
                not lacking,
                _RULES,
                f"{len(ALERT_NAMES) - len(lacking)} of {len(ALERT_NAMES)}",
                "load alerts/jwtdrill.rules.yml, or what `jwtdrill build` makes for your objectives",
                _READY,
            ),
            await _kept(client, watch.prometheus, target),
            await _runbooks(client, loaded),
            await _rotation(client, watch.prometheus),
        ]
    if watch.alertmanager is None:
        items.append(unknown(up, "name alertmanager under [watch]", "", _READY))
    else:
        status = await _json(client, f"{watch.alertmanager}/api/v2/status")
        items.append(either(status is not None, up, "it answers" if status else "no answer", "start it", _READY))
    audit = "see that issuance and refusals are kept for as long as you must account for them"
    return [*items, unknown("audit log with retention", "not to be seen from outside", audit, _READY)]


async def _kept(client: httpx.AsyncClient, prometheus: str, target: Target) -> Item:
    """That a budget is judged over its whole period: a sum over more than is kept is that of what is kept."""
    guarded = [objective for objective in objectives(target.objectives_path) if objective.guarded]
    longest = max(guarded, key=lambda objective: objective.period, default=None)
    content = await _json(client, f"{prometheus}/api/v1/status/runtimeinfo") or {}
    retention = str(content.get("data", {}).get("storageRetention", ""))
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _RETENTION.findall(retention))
    if longest is None or not seconds:
        return unknown(_KEPT, f"storage retention {retention or 'not told'}", "", _READY)
    seen = f"it keeps {retention}, and {longest.id} looks back {longest.period_days:g} days"
    mend = f"--storage.tsdb.retention.time={longest.period_days:g}d, or a shorter period_days"
    enough = seconds >= longest.period.total_seconds() / target.watch.time_scale
    return either(enough, _KEPT, seen, mend, _READY)


async def _runbooks(client: httpx.AsyncClient, loaded: dict[str, str]) -> Item:
    """That each alert names a page, and that one of them is there."""
    mend = "build the rules with --runbooks URL of where your people find docs/runbooks/"
    without = sorted(name for name, url in loaded.items() if not url)
    if not loaded or without:
        seen = f"no page for {', '.join(without)}" if without else "no alert is loaded"
        return either(False, _RUNBOOKS, seen, mend, _READY)
    url = next(iter(loaded.values()))
    try:
        status = (await client.get(url, timeout=_MOST_WAIT, follow_redirects=True)).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return unknown(_RUNBOOKS, f"{url} cannot be reached from here", mend, _READY)
    return either(status == httpx.codes.OK, _RUNBOOKS, f"{url}: status {status}", mend, _READY)


async def _rotation(client: httpx.AsyncClient, prometheus: str) -> Item:
    """When a key was activated last."""
    activated = await _value(client, prometheus, f"max({metrics.SIGNING_KEY_ACTIVATED.name})")
    drill = "try it: `jwtdrill gameday rotation_without_overlap`"
    if not activated:
        return unknown(_ROTATION, f"{metrics.SIGNING_KEY_ACTIVATED.name} is missing", drill, _READY)
    days = (time.time() - activated) / _DAY
    seen = f"the newest signing key has signed for {days:.0f} days"
    if days * _DAY <= _MOST_KEY_AGE:
        return passed(_ROTATION, seen, _READY)
    return either(False, _ROTATION, seen, f"rotate at least each {_MOST_KEY_AGE / _DAY:.0f} days; {drill}", _READY)


async def _alerts(client: httpx.AsyncClient, prometheus: str) -> dict[str, str]:
    """The page of each of our alerts that is loaded, empty where it names none."""
    content = await _json(client, f"{prometheus}/api/v1/rules?type=alert") or {}
    rules = [rule for group in content.get("data", {}).get("groups", ()) for rule in group.get("rules", ())]
    return {
        str(rule["name"]): str(rule.get("annotations", {}).get("runbook_url", ""))
        for rule in rules
        if rule.get("name") in ALERT_NAMES
    }


async def _value(client: httpx.AsyncClient, prometheus: str, query: str) -> float:
    """What the query gives; 0 for nothing."""
    content = await _json(client, f"{prometheus}/api/v1/query?query={query}") or {}
    result = content.get("data", {}).get("result", ())
    return float(result[0]["value"][1]) if result else 0.0


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any] | None:
    try:
        answer = await client.get(url, timeout=_MOST_WAIT)
        content = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return content if answer.status_code == httpx.codes.OK and isinstance(content, dict) else None
