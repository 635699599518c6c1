"""The indicators in PromQL: for each objective, how many bad events and how many in all since the last evaluation.

What the client is to blame for is in neither. What is ambiguous, for it can be an attack, a client or an outage, is bad
only while the canary of that issuer and environment fails, and then no more of it than the canary's failing share of
three times the usual traffic and one a second: so one failed call of the canary beside a flood of forged tokens burns
what it is worth, and a flood does not hide an outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jwtdrill.catalog import metrics
from jwtdrill.catalog.metrics import Metric
from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.catalog.reasons import Blame, TokenError, reasons_blamed_on
from jwtdrill.observe.counting import Counted
from jwtdrill.observe.timing import TimeScale

GROUP = ("environment", "issuer")
CANARY_FAILING = "jwtdrill:canary_failing:ratio"
EVENTS_BAD, EVENTS_ALL = "jwtdrill:events_bad:events", "jwtdrill:events_all:events"
_ISSUER = "issuer"
SUCCESS, FAILURE = 'result="success"', 'result="failure"'
_USUAL, _BESIDE = 3, 1.0  # times the traffic of the last hour, and events/s, that ambiguous refusals can burn at most


@dataclass(frozen=True, slots=True)
class Events:
    """PromQL of the bad events and of all, since the last evaluation."""

    bad: str
    all: str


def counted_for(objectives: Iterable[Objective]) -> list[Counted]:
    """The counters that these objectives need, and the canary, which tells an outage from an attack."""
    wanted = [Counted(metrics.CANARY, (_ISSUER, "resource", "result"))]
    for objective in objectives:
        own = (*objective.by, *objective.filter)
        metric, threshold = _METRICS[objective.indicator], objective.threshold
        if threshold is None:
            wanted.append(Counted(metric, (_ISSUER, "result", _cause_label(metric), *own)))
        else:
            wanted.append(Counted(metric, (_ISSUER, *own), "_count"))
            wanted.append(Counted(metric, (_ISSUER, "le", *own), "_bucket", f'le="{threshold:g}"'))
    return wanted


def canary_failing(window: str) -> str:
    """The share of the canary's calls in that window that failed, where it sings at all."""
    group = ", ".join(GROUP)
    name = metrics.CANARY.events
    failed = f"sum by ({group}) (sum_over_time({name}{{{FAILURE}}}[{window}]))"
    sung = f"sum by ({group}) (sum_over_time({name}[{window}]))"
    return f"({failed} or {sung} * 0) / ({sung} > 0)"


def events(objective: Objective, scale: TimeScale, hour: str) -> Events:
    """What the objective is judged by. hour: the window over which traffic counts as usual."""
    counts = _Counts(objective)
    metric = _METRICS[objective.indicator]
    if objective.threshold is not None:
        total = counts.sum(f"jwtdrill:{metric.name}_count:events")
        quick = counts.sum(f"jwtdrill:{metric.name}_bucket:events", f'le="{objective.threshold:g}"')
        return Events(f"{total} - ({quick} or {total} * 0)", total)
    name = metric.events
    none = f"{counts.sum(name)} * 0"
    good = f"({counts.sum(name, SUCCESS)} or {none})"
    match objective.indicator:
        case Indicator.VERIFICATION_SUCCESS:
            bad = f"({counts.sum(name, FAILURE, _either(Blame.SERVICE))} or {none})"
            bad += f"\n+ (\n{counts.ambiguous(name, scale, hour)}\n  or {none}\n)"
        case Indicator.ISSUANCE_SUCCESS:
            blamed = "|".join(error for error in TokenError if error.blame is Blame.SERVICE)
            bad = f"({counts.sum(name, FAILURE, _one_of('error', blamed))} or {none})"
        case _:
            bad = f"({counts.sum(name, FAILURE)} or {none})"
    return Events(bad, f"{good} + {counts.own(EVENTS_BAD)}")


class _Counts:
    """Sums of recorded counts by an objective's labels, within its filter."""

    def __init__(self, objective: Objective) -> None:
        self._id = objective.id
        self._by = ", ".join((*GROUP, *objective.by))
        self._filter = tuple(f'{name}="{value}"' for name, value in objective.filter.items())

    def sum(self, name: str, *matchers: str) -> str:
        """The events of that recorded series."""
        inside = ", ".join((*matchers, *self._filter))
        return f"sum by ({self._by}) ({name}{{{inside}}})" if inside else f"sum by ({self._by}) ({name})"

    def own(self, name: str) -> str:
        """What has been recorded for this objective, without the label that says so."""
        return f'sum by ({self._by}) ({name}{{objective="{self._id}"}})'

    def ambiguous(self, name: str, scale: TimeScale, hour: str) -> str:
        """Ambiguous refusals, as far as they burn."""
        refused = self.sum(name, FAILURE, _either(Blame.AMBIGUOUS))
        usual = f'sum by ({self._by}) (avg_over_time({EVENTS_ALL}{{objective="{self._id}"}}[{hour}]))'
        beside = f"{_BESIDE * scale.interval:g}"
        most = f"({_USUAL} * ({usual} or {refused} * 0) + {beside})"
        most += f"\n    * on ({', '.join(GROUP)}) group_left () {CANARY_FAILING}"
        return f"  {refused}\n  < {most}\n  or {most}\n  and {refused}"


_METRICS: dict[Indicator, Metric] = {
    Indicator.ISSUANCE_SUCCESS: metrics.ISSUANCE,
    Indicator.ISSUANCE_LATENCY: metrics.ISSUANCE_DURATION,
    Indicator.VERIFICATION_SUCCESS: metrics.VERIFICATION,
    Indicator.VERIFICATION_LATENCY: metrics.VERIFICATION_DURATION,
    Indicator.INTROSPECTION_SUCCESS: metrics.INTROSPECTION,
    Indicator.INTROSPECTION_LATENCY: metrics.INTROSPECTION_DURATION,
    Indicator.CANARY_SUCCESS: metrics.CANARY,
}


def _cause_label(metric: Metric) -> str:
    """The label that says why an event failed."""
    return next((name for name in ("reason", "error") if name in metric.labels), "result")


def _either(blame: Blame) -> str:
    return _one_of("reason", "|".join(reasons_blamed_on(blame)))


def _one_of(label: str, values: str) -> str:
    return f'{label}=~"{values}"'
