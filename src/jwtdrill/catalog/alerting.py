"""What an alert is: its condition, whom it wakes, whom it says is hurt, and what to type first.

Expressions are PromQL at real lengths: a build with another time scale divides whatever stands in brackets, after
`offset`, or in `seconds(…)`, as well as `hold`. Texts use Alertmanager's label templates.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from jwtdrill.catalog.objectives import Severity

GROUP = ("environment", "issuer")  # by which rules judge, and by which alerts are grouped


class Route(StrEnum):
    """The team that an alert goes to."""

    SECURITY = "security"
    PLATFORM = "platform"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a condition on events wants: so many of them within the window, and that share of all there are."""

    events: int
    window: timedelta
    share: float = 0.0

    def after(self, bad: float, good: float, window: float) -> float:
        """Seconds until it is met by `bad` events a second beside `good` ones, the window being of that length here.

        At worst: the window is full of good ones when the first bad one comes.
        """
        enough = self.events / bad
        if self.share == 0 or good == 0:
            return enough
        return max(enough, min(window, self.share * good * window / (bad * (1 - self.share))))


@dataclass(frozen=True, slots=True)
class DetectionAlert:
    """An alert on one condition.

    needs: what it counts, where it counts events. hold: the rule's `for`. builds_up: how long the condition takes to
    come true under the worst fault. detects: ids of failure modes. hurt: who is, and by what. first: the command that
    tells most. silences: alerts that are symptoms of this one. by: the labels that it carries. culprit: PromQL of who
    causes most of it, with one label or two. scaled: whether its times shrink in a lab that is watched faster.
    """

    name: str
    expr: str
    hold: timedelta
    severity: Severity
    route: Route
    detects: tuple[str, ...]
    hurt: str
    first: str
    description: str
    builds_up: timedelta = timedelta(0)
    needs: Needs | None = None
    silences: tuple[str, ...] = ()
    by: tuple[str, ...] = GROUP
    culprit: str = ""
    scaled: bool = True

    @property
    def soonest(self) -> timedelta:
        """The smallest window in which it can fire, beside scrape and evaluation."""
        return self.builds_up + self.hold


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """The alert that guards one objective; it becomes one rule for each tier.

    page: the runbook, of its own name by default. The rest is as of a DetectionAlert.
    """

    objective_id: str
    name: str
    route: Route
    detects: tuple[str, ...]
    hurt: str
    first: str
    silences: tuple[str, ...] = ()
    culprit: str = ""
    page: str = ""
    by: tuple[str, ...] = GROUP

    @property
    def runbook(self) -> str:
        """The name of its page."""
        return self.page or self.name


Alert = BurnAlert | DetectionAlert
