"""Whether the harness was fit to measure: what it saw of itself, and pure functions that judge it.

A run in which the harness, rather than the target, set the pace says nothing of the target. So each process notes how
late its requests started, how late its event loop woke, what it used of its core, and what it lacked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hdrh.histogram import HdrHistogram

from jwtdrill.errors import JwtdrillError
from jwtdrill.load.latency import MOST_MICROSECONDS, new_histogram, quantile, within

# A harness later than 10 ms, and than a tenth of what it measures, would be measuring itself.
EXACT_SECONDS = 0.010
EXACT_SHARE = 0.1
MISSED_SHARE = 0.001  # of the arrivals that were due
BUSY_CORE = 0.95  # of one core: Python runs on one, and what it cannot do in time waits
BUSY_SECONDS = 0.1  # share of the seconds in which the core may be so busy
DRY_SHARE = 0.01  # of the tokens that were asked for and not signed yet
CLOCK_STEP = 0.5  # seconds; tokens carry whole seconds
WAITED_SHARE = 0.25  # of the time that a process could have run: above it, something else keeps the machine busy
_FEW_LATE = 5
_LEAST_DRY = 10  # tokens; the first clients all begin at once
_LEAST_SECONDS = 2  # of observation, below which the core's use says nothing


class Missed(StrEnum):
    """Why a request that was due did not start."""

    LATE = "started too late"
    CONNECTIONS = "no connection left"
    NOT_SIGNED = "no token signed in time"
    NO_TOKEN = "the issuer gave no token"  # noqa: S105 - no secret
    WORKER_LOST = "its worker was lost"

    @property
    def ours(self) -> bool:
        """Whether the harness is to blame; otherwise the target is."""
        return self is not Missed.NO_TOKEN


@dataclass
class Fitness:
    """What one process, or all together, saw of themselves. Times in seconds, histograms in microseconds.

    busy_seconds of watched_seconds: in which it used its whole core; waited: for a CPU, ready to run. dry of taken:
    tokens that were not signed yet when they were needed. trouble: error of the harness's own machine to its count.
    """

    due: int = 0
    missed: dict[Missed, int] = field(default_factory=dict)
    lateness: HdrHistogram = field(default_factory=new_histogram)
    loop_lag: HdrHistogram = field(default_factory=new_histogram)
    watched_seconds: float = 0.0
    busy_seconds: float = 0.0
    ran: float = 0.0
    waited: float = 0.0
    clock_step: float = 0.0
    taken: int = 0
    dry: int = 0
    trouble: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0
    limit: str = ""

    def miss(self, why: Missed, count: int = 1) -> None:
        """So many arrivals did not start."""
        self.missed[why] = self.missed.get(why, 0) + count

    def started(self, late: float) -> None:
        """A request of the open model started so many seconds after it was due."""
        self.lateness.record_value(_micros(late))

    def woke(self, late: float) -> None:
        """The event loop came back so many seconds after it should have."""
        self.loop_lag.record_value(_micros(late))

    def stop_because(self, limit: str) -> None:
        """The harness ends or bends the load; the first reason counts."""
        self.limit = self.limit or limit

    def broke(self, error: BaseException) -> None:
        """A client's task failed by itself, so that what it should have done is missing."""
        said = str(error) if isinstance(error, JwtdrillError) else type(error).__name__  # what others say may be secret
        self.stop_because(f"a client's task failed: {said}")

    def state(self) -> dict[str, Any]:
        """As plain data for the wire."""
        return {
            **{name: getattr(self, name) for name in _SUMS},
            "missed": {why.name: count for why, count in self.missed.items()},
            "lateness": self.lateness.encode().decode(),
            "loop_lag": self.loop_lag.encode().decode(),
            "clock_step": self.clock_step,
            "trouble": dict(self.trouble),
            "limit": self.limit,
        }

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what another process's `state` holds."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + state[name])
        for why, count in state["missed"].items():
            self.miss(Missed[why], count)
        self.lateness.decode_and_add(state["lateness"])
        self.loop_lag.decode_and_add(state["loop_lag"])
        self.clock_step = max(self.clock_step, state["clock_step"], key=abs)
        for name, count in state["trouble"].items():
            self.trouble[name] = self.trouble.get(name, 0) + count
        self.stop_because(state["limit"])

    def to_json(self) -> dict[str, Any]:
        """For people and scripts: milliseconds and shares."""
        return {
            "due": self.due,
            "missed": {str(why): count for why, count in sorted(self.missed.items())},
            "unanswered": self.unanswered,
            "late_ms": _percentiles(self.lateness),
            "loop_lag_ms": _percentiles(self.loop_lag),
            "cores_used": self.ran / self.watched_seconds if self.watched_seconds else None,
            "seconds_at_full_core": self.busy_seconds,
            "waited_for_cpu": _share(self.waited, self.ran + self.waited),
            "clock_step_seconds": self.clock_step,
            "tokens_not_signed_in_time": _share(self.dry, self.taken),
            "trouble": self.trouble,
        }


_SUMS = ("due", "watched_seconds", "busy_seconds", "ran", "waited", "taken", "dry", "unanswered")


def doubt(fitness: Fitness, p99: float) -> float:
    """Seconds by which latencies may be too high because of ourselves; 0 where that is nothing beside them."""
    most = max(_p99(fitness.lateness), _p99(fitness.loop_lag))
    return most if most > EXACT_SHARE * p99 else 0.0


def problems(fitness: Fitness, *, open_model: bool, p99: float) -> list[str]:
    """Why the run says nothing of the target, each with its mend; empty when the harness was fit.

    p99: of the latencies that were measured, in seconds: what is small beside it does no harm.
    """
    return [*([fitness.limit] if fitness.limit else []), *_pace(fitness, open_model, p99), *_machine(fitness)]


def not_ours(fitness: Fitness, quantile_of: float, excess: float, name: str) -> str:
    """Why a latency that is too high by `excess` seconds at that quantile may be our own doing; empty when it is not.

    What the harness was late by at the same quantile is at most what it added.
    """
    seen = [h for h in (fitness.lateness, fitness.loop_lag) if h.get_total_count()]
    own = max((quantile(h, quantile_of) / 1e6 for h in seen), default=0.0)
    if own < excess:
        return ""
    return (
        f"{name} was missed by {excess * 1e3:.3g} ms, and the harness itself was late by {own * 1e3:.3g} ms "
        f"(p{quantile_of * 100:g}){_who_waits(fitness)}"
    )


def _pace(fitness: Fitness, open_model: bool, p99: float) -> Iterable[str]:
    bound = max(EXACT_SECONDS, EXACT_SHARE * p99)
    late, lag = (_p99(h) if _often(h, bound) else 0.0 for h in (fitness.lateness, fitness.loop_lag))
    ours = {why: count for why, count in fitness.missed.items() if why.ours}
    if fitness.due and sum(ours.values()) > MISSED_SHARE * fitness.due:
        why = ", ".join(f"{count:,} {name}" for name, count in sorted(ours.items()))
        yield f"{sum(ours.values()):,} of {fitness.due:,} requests that were due were not sent ({why}): {_mend(ours)}"
    if late > bound:
        yield f"requests started late (p99 {late * 1e3:.1f} ms){_who_waits(fitness)}"
    elif lag > bound:
        yield f"the event loop woke late (p99 {lag * 1e3:.1f} ms){_who_waits(fitness)}"
    if not open_model and fitness.watched_seconds >= _LEAST_SECONDS:
        share = fitness.busy_seconds / fitness.watched_seconds
        if share > BUSY_SECONDS:
            yield f"the harness used its whole core in {share:.0%} of the time: add --processes or workers"
    if fitness.dry > max(DRY_SHARE * fitness.taken, _LEAST_DRY):
        yield (
            f"{fitness.dry:,} of {fitness.taken:,} tokens were not signed in time: add --processes, workers or cores, "
            "or take a lighter algorithm"
        )


def _machine(fitness: Fitness) -> Iterable[str]:
    if abs(fitness.clock_step) > CLOCK_STEP:
        yield f"this machine's clock was set by {fitness.clock_step:+.2f} s meanwhile: tokens carry its time"
    for name, count in sorted(fitness.trouble.items()):
        yield f"{count:,} requests failed on this machine itself ({name}): {_TROUBLE.get(name, 'see its limits')}"


def _who_waits(fitness: Fitness) -> str:
    if fitness.waited > WAITED_SHARE * (fitness.ran + fitness.waited):
        share = fitness.waited / (fitness.ran + fitness.waited)
        return f": it waited for a CPU in {share:.0%} of the time that it could run: something else keeps it busy"
    return ": add --processes or workers, or lower --rate"


def _mend(ours: Mapping[Missed, int]) -> str:
    if ours.get(Missed.CONNECTIONS):
        return "raise `ulimit -n`, or add workers"
    if ours.get(Missed.WORKER_LOST):
        return "see why the worker ended"
    return "add --processes or workers, or lower --rate"


_TROUBLE = {
    "EMFILE": "raise `ulimit -n`",
    "ENFILE": "raise fs.file-max",
    "EADDRNOTAVAIL": "it has no ports left: widen net.ipv4.ip_local_port_range, or add workers on other machines",
    "ENOBUFS": "it has no memory left for sockets",
    "ENOMEM": "it has no memory left for sockets",
}
TROUBLE = frozenset(_TROUBLE)


def _p99(histogram: HdrHistogram) -> float:
    return quantile(histogram, 0.99) / 1e6


def _often(histogram: HdrHistogram, bound: float) -> bool:
    """Whether more than one in a hundred was later, and not just the few of a short run's beginning."""
    total: int = histogram.get_total_count()
    return total - within(histogram, bound * 1e6) > max(0.01 * total, _FEW_LATE)


def _micros(seconds: float) -> int:
    return min(max(int(seconds * 1e6), 1), MOST_MICROSECONDS)


def _percentiles(histogram: HdrHistogram) -> dict[str, float] | None:
    if not histogram.get_total_count():
        return None
    return {f"p{p:g}": quantile(histogram, p / 100) / 1e3 for p in (50, 99, 99.9, 100)}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
