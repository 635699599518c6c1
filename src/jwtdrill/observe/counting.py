"""Counts events from counters: how many there were since the rules were last evaluated, each exactly once.

`rate` and `increase` see nothing of a counter's first value, so that the first error of its kind goes unseen; they
extrapolate; and they need several scrapes to a window. The difference to the value at the last evaluation counts
exactly, whatever the scrape interval, over scrapes missed for up to `LOOKBACK`, and its sums over time add up. What
falls into an evaluation that is missed is lost: an alert of its own watches over that. A counter that is smaller than
before was reset: its whole value is new. One that was not there before counts whole if its target was, or if its
process is young: not if it is an old process that Prometheus sees for the first time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jwtdrill.catalog.metrics import ENVIRONMENT, Metric
from jwtdrill.catalog.promql import promql_duration
from jwtdrill.observe.timing import TimeScale

LOOKBACK = timedelta(minutes=5)  # Prometheus's own for instant vectors
_YOUNG = timedelta(minutes=1)  # process whose events all happened since it could be scraped first


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter of which events are recorded. suffix: of a histogram's part; labels: that are kept."""

    metric: Metric
    labels: tuple[str, ...]
    suffix: str = ""
    matchers: str = ""

    @property
    def record(self) -> str:
        """The name of the recorded series."""
        return self.metric.part_events(self.suffix) if self.suffix else self.metric.events


def counting_rule(counted: Counted, scale: TimeScale) -> dict[str, Any]:
    """The rule that records its events since the last evaluation."""
    name = f"{counted.metric.name}{counted.suffix}"
    now = f"{name}{{{counted.matchers}}}" if counted.matchers else name
    back = f"[{scale.window(LOOKBACK)}] offset {promql_duration(scale.interval)}"
    before, target_before = f"last_over_time({now}{back})", f"last_over_time({name}{back})"
    young = f"process_start_time_seconds > time() - {scale.seconds(_YOUNG):g}"
    return {
        "record": counted.record,
        "expr": (
            f"sum by ({', '.join((ENVIRONMENT, *counted.labels))}) (\n"
            f"  {now} - {before} >= 0\n"
            f"  or ({now} and {before})\n"
            f"  or ({now} unless {before}) and on (job, instance) ({target_before} or {young})\n"
            ")"
        ),
    }


def merged(wanted: Iterable[Counted]) -> list[Counted]:
    """One for each counter, with all the labels and matchers that somebody wants of it."""
    found: dict[str, Counted] = {}
    for one in wanted:
        other = found.get(one.record)
        if other is None:
            found[one.record] = one
            continue
        labels = tuple(name for name in one.metric.labels if name in one.labels or name in other.labels)
        labels += tuple(name for name in (*other.labels, *one.labels) if name not in labels)
        matchers = one.matchers if one.matchers == other.matchers else ""
        found[one.record] = Counted(one.metric, tuple(dict.fromkeys(labels)), one.suffix, matchers)
    return list(found.values())
