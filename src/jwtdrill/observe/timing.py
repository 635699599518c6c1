"""Window lengths of a build: the real ones, or all divided by one factor so that a drill of minutes exercises them."""

import re
from dataclasses import dataclass
from datetime import timedelta

from jwtdrill.catalog.alerting import DetectionAlert
from jwtdrill.catalog.promql import UNITS, promql_duration
from jwtdrill.errors import BadInputError

_SECONDS = dict(UNITS)
_LENGTH = re.compile(r"(\d+)([smhd])")
# A range, a subquery, an offset, or a number of seconds that is a window's.
_LENGTHS = re.compile(r"\[\d+[smhd](?::\d+[smhd])?\]|(?<=offset )\d+[smhd]|seconds\((\d+)([smhd])\)")

SCRAPE = timedelta(seconds=15)
EVALUATION = timedelta(seconds=15)
BASE_WINDOW = timedelta(minutes=1)  # over which every base rate is taken
LEAST_INTERVAL = 1.0  # seconds; a scaled build scrapes and evaluates no faster
LEAST_SCRAPES = 4  # that a rate needs to survive a late scrape


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Divides windows, `for`, and intervals by `factor`; none falls below what the scrape interval can carry."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 10000:
            raise BadInputError(f"the time scale must lie between 1 and 10000, not {self.factor:g}")

    def of(self, alert: DetectionAlert) -> "TimeScale":
        """The one by which that alert's own times go."""
        return self if alert.scaled else TimeScale()

    @property
    def interval(self) -> float:
        """Seconds between scrapes and between evaluations."""
        return max(LEAST_INTERVAL, EVALUATION.total_seconds() / self.factor)

    def seconds(self, length: timedelta) -> float:
        """A window's length in this build, in seconds."""
        return max(length.total_seconds() / self.factor, LEAST_SCRAPES * self.interval)

    def window(self, length: timedelta) -> str:
        """A range or window in PromQL's notation."""
        return promql_duration(self.seconds(length))

    def hold(self, length: timedelta) -> str:
        """A rule's `for`, or one of Alertmanager's intervals."""
        return promql_duration(length.total_seconds() / self.factor)

    def expression(self, promql: str) -> str:
        """PromQL with every range and offset scaled, and `seconds(1h)` as the number that it is."""

        def scaled(found: re.Match[str]) -> str:
            if found[1]:
                return f"{self.seconds(_length(found[1], found[2])):g}"
            return _LENGTH.sub(lambda one: self.window(_length(one[1], one[2])), found[0])

        return _LENGTHS.sub(scaled, promql)


def _length(number: str, unit: str) -> timedelta:
    return timedelta(seconds=int(number) * _SECONDS[unit])


def window_name(length: timedelta) -> str:
    """The name of a window in series names: that of its real length, whatever the scale."""
    return promql_duration(length.total_seconds())
