"""PromQL that several alerts are made of: counts of recorded events, and what is usual of them.

Each event is recorded once. What is usual is the average of the last day, of which what is missing counts as nothing:
so what has always been nags nobody, and what is new is seen from its first minute.
"""

from collections.abc import Iterable

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import GROUP, Needs
from jwtdrill.catalog.metrics import Metric
from jwtdrill.catalog.reasons import Reason

# Recorded beside the counts: events of the last five minutes, of which a day's average is made.
REFUSED_OF_LATE = "jwtdrill:refused:events5m"  # by reason
MISUSE_OF_LATE = "jwtdrill:misuse:events5m"
UNAUTHORIZED_OF_LATE = "jwtdrill:unauthorized:events5m"  # by route
CANARY_FAILING = "jwtdrill:canary_failing:ratio"  # of its tokens, of which none is sent to the token endpoint
CALLS = f'resource!="{metrics.AT_ISSUER}"'
ASKS_IN_VAIN = f'resource="{metrics.AT_ISSUER}", result="failure"'
EVENTS_BAD, EVENTS_ALL = "jwtdrill:events_bad:events", "jwtdrill:events_all:events"  # by objective
EVENTS_MOST = "jwtdrill:ambiguous_most:events"  # ambiguous refusals that users can have met with, by objective
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))  # of PromQL's durations, in seconds
_STEPS_IN_A_DAY = 288  # of five minutes


def events(metric: Metric, window: str, matchers: str = "", by: Iterable[str] = GROUP, offset: str = "") -> str:
    """How many there were in that window, ending `offset` ago."""
    past = f" offset {offset}" if offset else ""
    return total(metric.events, window, matchers, by, past)


def total(recorded: str, window: str, matchers: str = "", by: Iterable[str] = GROUP, past: str = "") -> str:
    """The sum of a recorded series over that window."""
    chosen = f"{{{matchers}}}" if matchers else ""
    return f"sum by ({', '.join(by)}) (sum_over_time({recorded}{chosen}[{window}]{past}))"


def refused(window: str, *reasons: Reason) -> str:
    """How many tokens were refused for one of those reasons."""
    return events(metrics.VERIFICATION, window, f'result="failure", {among(reasons)}')


def verified(window: str) -> str:
    """How many tokens came, good and bad."""
    return events(metrics.VERIFICATION, window)


def among(reasons: Iterable[Reason]) -> str:
    """The matcher of those reasons."""
    return f'reason=~"{"|".join(reasons)}"'


def usual(recorded: str, matchers: str = "", by: Iterable[str] = GROUP) -> str:
    """Events in five minutes, on the average of the last day."""
    chosen = f"{{{matchers}}}" if matchers else ""
    return f"sum by ({', '.join(by)}) (sum_over_time({recorded}{chosen}[1d:5m])) / {_STEPS_IN_A_DAY}"


def rise(needs: Needs, *reasons: Reason) -> str:
    """Refusals for those reasons, of at least that number and that share of all."""
    window = promql_duration(needs.window.total_seconds())
    of_them = refused(window, *reasons)
    return f"{of_them} >= {needs.events}\nand {of_them} >= {needs.share:g} * {verified(window)}"


def promql_duration(seconds: float) -> str:
    """The shortest exact notation: 1h, 90s, 250ms."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    for unit, length in UNITS:
        if milliseconds % (length * 1000) == 0:
            return f"{milliseconds // (length * 1000)}{unit}"
    return f"{milliseconds}ms"


def worst(metric: Metric, by: str, matchers: str = "", window: str = "15m") -> str:
    """The one, by those labels, with most events of late. $SCOPE stands for the alert's own labels."""
    chosen = f"$SCOPE, {matchers}" if matchers else "$SCOPE"
    return f"topk(1, sum by ({by}) (increase({metric.name}{{{chosen}}}[{window}])) > 0)"


def ask(query: str) -> str:
    """The command that asks Prometheus."""
    return f"promtool query instant $PROMETHEUS '{query}'"
