"""What was seen in a drill: flat records, in Unix time, that are judged and reported later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jwtdrill.catalog.verdicts import Tally


class Phase(StrEnum):
    """Parts of a drill."""

    CONTROL = "control"
    FAULT = "fault"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Interval:
    """From, and to."""

    begin: float
    end: float

    def holds(self, at: float) -> bool:
        """Whether that instant lies within."""
        return self.begin <= at < self.end


@dataclass(slots=True)
class AlertSpan:
    """An alert as Alertmanager showed it. `suppressed`: throughout, by inhibition or silence: nobody is told."""

    name: str
    severity: str
    labels: Mapping[str, str]
    first_seen: float
    last_seen: float
    suppressed: bool


@dataclass(frozen=True, slots=True)
class SecondSeen:
    """One second of load."""

    at: int
    counts: Mapping[Tally, int]
    latency_mean: float
    latency_max: float

    @property
    def sent(self) -> int:
        """All answers."""
        return sum(self.counts.values())

    @property
    def good_sent(self) -> int:
        """Good tokens sent."""
        return sum(n for t, n in self.counts.items() if t.expected.value == "accepted")

    @property
    def good_refused(self) -> int:
        """Good tokens that were not accepted, for whatever reason."""
        return sum(
            n for t, n in self.counts.items() if t.expected.value == "accepted" and t.verdict.value != "accepted"
        )

    @property
    def false_accepts(self) -> int:
        """Bad tokens that were let in."""
        return sum(n for t, n in self.counts.items() if t.false_accept)


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """A fault and when it was in force."""

    name: str
    params: Mapping[str, object]
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class ActionSeen:
    """What the drill itself did beside its phases and faults, and when."""

    at: float
    what: str


@dataclass(slots=True)
class Record:
    """All that a drill saw.

    alerts: None when nobody watched; problem: why the drill says nothing; stopped: why it stopped itself; unsteady:
    what the closing look found.
    """

    phases: dict[Phase, Interval] = field(default_factory=dict)
    faults: list[FaultSeen] = field(default_factory=list)
    alerts: list[AlertSpan] | None = None
    seconds: list[SecondSeen] = field(default_factory=list)
    burn: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    actions: list[ActionSeen] = field(default_factory=list)
    problem: str = ""
    stopped: str = ""
    unsteady: str = ""

    @property
    def begin(self) -> float:
        """When the first phase began, from which a drill's own times are counted; that of the first sight else."""
        seen = [interval.begin for interval in self.phases.values()] or [float(s.at) for s in self.seconds]
        return min(seen, default=0.0)

    @property
    def end(self) -> float:
        """When the last phase ended."""
        return max((interval.end for interval in self.phases.values()), default=self.begin)

    @property
    def fault(self) -> Interval | None:
        """From the first fault's beginning to the last one's end; None where none was injected."""
        if not self.faults:
            return None
        return Interval(min(fault.begin for fault in self.faults), max(fault.end for fault in self.faults))

    def told(self, name: str, severity: str, since: float) -> AlertSpan | None:
        """The first alert of that name and severity that came since then and that somebody was told of."""
        seen = (
            alert
            for alert in self.alerts or ()
            if (alert.name, alert.severity) == (name, severity) and not alert.suppressed and alert.first_seen >= since
        )
        return min(seen, key=lambda alert: alert.first_seen, default=None)

    def phase_at(self, at: float) -> Phase | None:
        """The phase that holds that instant."""
        return next((phase for phase, interval in self.phases.items() if interval.holds(at)), None)
