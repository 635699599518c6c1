"""The indicators in PromQL: for each objective, how many bad events and how many in all since the last evaluation.

What the client is to blame for is in neither. What is ambiguous, for it can be an attack, a client or an outage, is bad
only while the canary of that issuer and environment fails, and then at most the canary's failing share of the traffic
that users have: of what is usual, or of what must come in if what is accepted is the rest. So one failed call of the
canary beside a flood of forged tokens burns what it is worth, and a flood does not hide an outage.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import GROUP
from jwtdrill.catalog.metrics import Metric, bucket
from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.catalog.promql import CALLS, CANARY_FAILING, EVENTS_ALL, EVENTS_BAD, EVENTS_MOST, among
from jwtdrill.catalog.reasons import MISUSE, SUSPECT, Blame, TokenError, reasons_blamed_on
from jwtdrill.observe.counting import Counted
from jwtdrill.observe.timing import TimeScale

_ISSUER = "issuer"
_ANSWERED = 'result!="failure"'  # quick refusals in bulk must not make slow answers look rare
SUCCESS, FAILURE = 'result="success"', 'result="failure"'
_AMBIGUOUS = among(reasons_blamed_on(Blame.AMBIGUOUS))
_USUAL, _BESIDE = 3, 1.0  # times the traffic of the last hour, and events/s, that an outage explains at most
_ACCEPTED_LEAST = 0.05  # share of users' traffic that is taken to be accepted at the least, to tell it from what is
_OUTAGE = 0.5  # share of the canary's tokens refused, from which an outage is beyond doubt
_SPARSE = 0.25  # least share of ambiguous refusals explained, for them to be an outage at little traffic and no flood
_FAILING = timedelta(minutes=5)  # in which the canary must have failed for that
_SPREAD = timedelta(minutes=15)  # over which that share is taken, for one refusal seldom meets its second of the canary


@dataclass(frozen=True, slots=True)
class Events:
    """PromQL of the bad events and of all, since the last evaluation.

    most: where some are ambiguous, how many of these can be bad; recorded before the others.
    """

    bad: str
    all: str
    most: str = ""


def counted_for(objectives: Iterable[Objective]) -> list[Counted]:
    """The counters that these objectives need, and the canary, which tells an outage from an attack."""
    wanted = [Counted(metrics.CANARY, (_ISSUER, "resource", "result"))]
    for objective in objectives:
        own = (*objective.by, *objective.filter)
        metric, threshold = _metric(objective), objective.threshold
        if threshold is None:
            wanted.append(Counted(metric, (_ISSUER, "result", _cause_label(metric), *own)))
        else:
            wanted.append(Counted(metric, (_ISSUER, "result", *own), "_count"))
            wanted.append(Counted(metric, (_ISSUER, "result", "le", *own), "_bucket", bucket(threshold)))
    return wanted


def canary_failing(window: str) -> str:
    """The share of the canary's tokens in that window that were refused, where it sends any."""
    group = ", ".join(GROUP)
    name = metrics.CANARY.events
    failed = f"sum by ({group}) (sum_over_time({name}{{{FAILURE}, {CALLS}}}[{window}]))"
    sung = f"sum by ({group}) (sum_over_time({name}{{{CALLS}}}[{window}]))"
    return f"({failed} or {sung} * 0) / ({sung} > 0)"


def events(objective: Objective, scale: TimeScale, hour: str) -> Events:
    """What the objective is judged by. hour: the window over which traffic counts as usual."""
    counts = _Counts(objective)
    metric = _metric(objective)
    if objective.threshold is not None:
        total = counts.sum(metric.part_events("_count"), _ANSWERED)
        quick = counts.sum(metric.part_events("_bucket"), _ANSWERED, bucket(objective.threshold))
        return Events(f"{total} - ({quick} or {total} * 0)", total)
    name = metric.events
    none = f"{counts.sum(name)} * 0"
    good = f"({counts.sum(name, SUCCESS)} or {none})"
    most = ""
    match objective.indicator:
        case Indicator.VERIFICATION_SUCCESS:
            most = counts.most(name, scale, hour)
            bad = f"({counts.sum(name, FAILURE, among(reasons_blamed_on(Blame.SERVICE)))} or {none})"
            bad += f"\n+ (\n{counts.ambiguous(name, scale)}\n  or {none}\n)"
        case Indicator.ISSUANCE_SUCCESS | Indicator.INTROSPECTION_SUCCESS:
            # What is no error of the client's is the service's, a code that nobody knows and none at all too.
            blamed = f'error!~"{"|".join(error for error in TokenError if error.blame is Blame.CLIENT)}"'
            bad = f"({counts.sum(name, FAILURE, blamed)} or {none})"
        case _:
            bad = f"({counts.sum(name, FAILURE)} or {none})"
    return Events(bad, f"{good} + {counts.own(EVENTS_BAD)}", most)


def misuse(scale: TimeScale, hour: str, window: timedelta) -> str:
    """Refusals in that window that no outage explains: the client's, and of the suspect ones what is beyond that.

    The canary takes some calls to notice an outage, so it is what it failed at most in the window that explains.
    """
    group, name, late = ", ".join(GROUP), metrics.VERIFICATION.events, scale.window(window)

    def refused(reasons: str) -> str:
        return f"sum by ({group}) (sum_over_time({name}{{{FAILURE}, {reasons}}}[{late}]))"

    none = f"sum by ({group}) (sum_over_time({name}[{late}])) * 0"
    usual = f"sum by ({group}) (avg_over_time({name}{{{SUCCESS}}}[{hour}]))"
    steps = scale.seconds(window) / scale.interval
    explained = f"{steps:g} * ({_USUAL} * ({usual} or {none}) + {_BESIDE * scale.interval:g})"
    explained += f" * max_over_time({CANARY_FAILING}[{late}])"
    return f"({refused(among(MISUSE))} or {none})\n+ (clamp_min({refused(among(SUSPECT))} - {explained}, 0) or {none})"


class _Counts:
    """Sums of recorded counts by an objective's labels, within its filter."""

    def __init__(self, objective: Objective) -> None:
        self._id = objective.id
        self._by = ", ".join((*GROUP, *objective.by))
        self._filter = tuple(f'{name}="{value}"' for name, value in objective.filter.items())

    def sum(self, name: str, *matchers: str) -> str:
        """The events of that recorded series."""
        return self._sum(self._matching(name, *matchers))

    def own(self, name: str) -> str:
        """What has been recorded for this objective, without the label that says so."""
        return self._sum(self._own(name))

    def most(self, name: str, scale: TimeScale, hour: str) -> str:
        """How many of the ambiguous refusals since the last evaluation users can have met with."""
        per_canary = f"on ({', '.join(GROUP)}) group_left ()"
        usual = self._sum(f"avg_over_time({self._own(EVENTS_ALL)}[{hour}])")
        now = f"{self.sum(name, SUCCESS)}\n/ {per_canary} clamp_min(1 - {CANARY_FAILING}, {_ACCEPTED_LEAST})"
        beside = f"{_BESIDE * scale.interval:g} * ({CANARY_FAILING} >= bool {_OUTAGE})"
        users = f"({_larger(now, usual)}\nor {self.sum(name)} * 0)"
        return f"(\n{users}\n+ {per_canary} {beside}\n) * {per_canary} {CANARY_FAILING}"

    def ambiguous(self, name: str, scale: TimeScale) -> str:
        """Ambiguous refusals, as far as they burn: up to what users can have met with, now or over a while."""
        refused, most = self.sum(name, FAILURE, _AMBIGUOUS), self.own(EVENTS_MOST)
        spread = scale.window(_SPREAD)
        all_refused = self._sum(f"sum_over_time({self._matching(name, FAILURE, _AMBIGUOUS)}[{spread}])")
        all_most = self._sum(f"sum_over_time({self._own(EVENTS_MOST)}[{spread}])")
        failing = f"max_over_time({CANARY_FAILING}[{scale.window(_FAILING)}]) > 0"
        share = f"clamp_max({all_most}\n/ ({all_refused} > 0) >= {_SPARSE}, 1)"
        over_a_while = f"({refused}\n* {share}\nand on ({', '.join(GROUP)}) {failing})"
        at_once = f"({refused} < {most}\nor {most} and {refused})"
        return _larger(over_a_while, at_once)

    def _sum(self, of: str) -> str:
        return f"sum by ({self._by}) ({of})"

    def _matching(self, name: str, *matchers: str) -> str:
        inside = ", ".join((*matchers, *self._filter))
        return f"{name}{{{inside}}}" if inside else name

    def _own(self, name: str) -> str:
        return f'{name}{{objective="{self._id}"}}'


def _larger(one: str, other: str) -> str:
    """The larger of the two; where there is but one of them, that."""
    return f"{one}\n>= {other}\nor {other}\nor {one}"


def _metric(objective: Objective) -> Metric:
    assert objective.indicator.metric is not None  # an objective that only load tests measure is never guarded
    return objective.indicator.metric


def _cause_label(metric: Metric) -> str:
    """The label that says why an event failed."""
    return next((name for name in ("reason", "error") if name in metric.labels), "result")
