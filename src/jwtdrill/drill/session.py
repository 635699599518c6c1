"""One drill under way: its processes, its faults, its phases, and what is written down of them.

There is one at a time in a process, since Chaos Toolkit's actions are plain functions. The control opens and closes
it, the actions use it.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwtdrill.catalog.objectives import Severity, objectives
from jwtdrill.drill.declaring import Declaration
from jwtdrill.drill.expectations import with_own
from jwtdrill.drill.experiment import Experiment
from jwtdrill.drill.holding import Holding
from jwtdrill.drill.judge import Judged, judge, unannounced
from jwtdrill.drill.live import LiveLoad
from jwtdrill.drill.plan import fingerprint
from jwtdrill.drill.processes import CANARY, LOAD, announcements, start_canary, start_load, stop_load
from jwtdrill.drill.record import ActionSeen, AlertSpan, FaultSeen, Interval, Phase, Record, SecondSeen
from jwtdrill.drill.watcher import BETWEEN_DRILLS, AlertWatcher, alertmanager_of, query_range
from jwtdrill.errors import BadInputError, JwtdrillError, MissingPartError
from jwtdrill.faults.client import FaultClient, HeldFault
from jwtdrill.faults.journal import Journal, default_journal
from jwtdrill.faults.registry import TRAFFIC
from jwtdrill.load.scoreboard import read_tallies
from jwtdrill.observe.rules import burn_rate
from jwtdrill.processes.folders import OwnFolder
from jwtdrill.processes.supervisor import Supervisor
from jwtdrill.target.model import Target

_TICK = 0.25
_ASK_SECONDS = 2.0
_HEARD_SECONDS = 60.0
_LEAST_RECOVERY = 6.0  # seconds that are watched, so that some whole ones are seen clean
_LEAST_FAULT = 10.0  # seconds that a fault is held, so that what else fires is seen
Say = Callable[[str], None]
Annotate = Callable[[str, str, Interval], None]  # fault or phase, which, and when


class StoppedError(JwtdrillError):
    """The drill has stopped itself, or was stopped."""


@dataclass(frozen=True, slots=True)
class Watching:
    """alerts: watched and judged. declare: Alertmanager is told which of them the drill raises, and wakes nobody."""

    alerts: bool
    declare: bool = False


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told what: a line for what happens, the state a few times a second, and what was when for Grafana."""

    say: Say
    tick: Say = lambda _: None
    annotate: Annotate = lambda _kind, _name, _when: None


class Session:
    """A drill against `target`. watch: how alerts are watched, and whether the announced ones are kept from people."""

    def __init__(self, target: Target, experiment: Experiment, watch: Watching, telling: Telling) -> None:
        self.target = target
        self.expected = experiment.expected
        self.record = Record()
        self.demands = experiment.demands(target)
        self._fingerprint = fingerprint(target)
        self._journal = Journal(default_journal(), f"{target.environment} {target.issuer.url}")
        self._title = experiment.title
        self._announced = with_own(self.expected.announced, objectives(target.objectives_path))
        self._say, self._tick, self._annotate = telling.say, telling.tick, telling.annotate
        self._agent = FaultClient.of(target)
        self._load: LiveLoad | None = None
        self._asked, self._let_in = 0.0, 0
        self._traffic: list[dict[str, Any]] = []  # what came of the requests that faults sent
        self._held: list[tuple[HeldFault, Mapping[str, object], float]] = []
        self._load_running = False
        self._watcher: AlertWatcher | None = None
        self._declaration: Declaration | None = None
        self._holding = Holding(target, experiment.title, self._agent)
        try:
            for begun in experiment.faults():
                self._agent.check(begun.fault, begun.params)
            if watch.alerts:
                self._watcher = AlertWatcher(alertmanager_of(target))
            if watch.declare:
                self._declaration = Declaration(target, self._announced)
                self._did(f"declared to Alertmanager: {', '.join(sorted(self._announced))}")
            self._journal.note("drill begins", drill=experiment.title, failure_mode=self.expected.failure_mode)
        except BaseException:
            self._holding.close()
            raise
        self._folder = OwnFolder("jwtdrill-drill-", announcements(target))
        self._supervisor = Supervisor(self._folder.path)

    def start_load(self, users: int, throughput: float, cases: str) -> None:
        """Start canary and load, and wait until both run. Raises JwtdrillError."""
        start_canary(self._supervisor, self.target)
        self._load = start_load(self._supervisor, self.target, users, throughput, cases)
        self._load_running = True
        deadline = time.monotonic() + _HEARD_SECONDS
        while time.monotonic() < deadline and any(span.name in BETWEEN_DRILLS for span in self._firing()):
            time.sleep(_TICK)  # until our canary is heard, an alert tells of the last drill's
        self._did(f"load: {users} clients, {users * throughput:g} requests/s, cases {cases}; canary beside it")

    def observe(self, phase: Phase, seconds: float) -> None:
        """Let time pass in that phase, so many seconds at most: fault and recovery end when all has been seen.

        Raises JwtdrillError when load or canary end meanwhile, StoppedError when there is a reason to stop the drill.
        """
        begin = time.time()
        self._say(f"{phase}: {seconds:g} s at most")
        told: set[str] = set()
        while (now := time.time()) < begin + seconds:
            self.record.phases[phase] = Interval(begin, now)
            dead = self._supervisor.dead()
            if dead:
                raise MissingPartError(f"{', '.join(dead)} ended in mid-drill: {self._supervisor.log(dead[0])}")
            if ours := sorted({span.name for span in self._firing() if self._tells_of_us(span)}):
                log = self._supervisor.log(CANARY)
                raise MissingPartError(f"{', '.join(ours)}: without canary and load nothing can be judged: {log}")
            for span in self._firing():
                if span.name + span.severity not in told:
                    told.add(span.name + span.severity)
                    self._say(f"{span.severity} {span.name} is active, {now - begin:.1f} s into {phase}")
            if self._load is not None:
                self._load.look()
            if reason := self._reason_to_stop(phase):
                self._stop(reason)
            if self._seen_all(phase, now, now - begin):
                break
            names = sorted({f"{span.severity} {span.name}" for span in self._firing()})
            self._tick(f"{phase} {now - begin:.0f}/{seconds:g} s  {', '.join(names) or 'nothing fires'}")
            time.sleep(_TICK)
        self.record.phases[phase] = Interval(begin, time.time())
        self._annotate("phase", phase, self.record.phases[phase])

    def _tells_of_us(self, span: AlertSpan) -> bool:
        """Whether an alert that nobody announced is about the drill's own processes."""
        about = span.name in BETWEEN_DRILLS or span.labels.get("job") in (CANARY, LOAD)
        return about and span.name not in self._announced

    @property
    def _lost(self) -> bool:
        """Whether somebody else has ended what this drill holds; its leases tell of that one after the other."""
        return self._holding.lost or any(held.lost for held, _, _ in self._held)

    def _reason_to_stop(self, phase: Phase) -> str:
        """Why the drill must not go on, empty if it may."""
        if self._lost:
            return "its lease is gone: somebody ended it with `jwtdrill stop`, or the fault agent was started anew"
        if phase is Phase.RECOVERY:
            return ""  # nothing is in force any more: what comes now is written down
        others = unannounced(self._firing(), self._announced)
        if phase is Phase.CONTROL:
            others = {span.name for span in self._firing()}
        if others:
            return f"{', '.join(sorted(others))} fires, which was not announced"
        if self._load is None:
            return ""
        let_in = self._load.false_accepts + self._let_in_of_traffic()
        if let_in > self.expected.false_accepts:
            return f"{let_in} bad tokens were let in: at most {self.expected.false_accepts} may be"
        if self._load.failing > self.expected.stops_at:
            return f"{self._load.failing:.0%} of good calls fail: at most {self.expected.stops_at:.0%} may"
        return ""

    def _let_in_of_traffic(self) -> int:
        """Bad tokens of faults that are traffic, which were let in; as the agent says now and then."""
        if time.monotonic() - self._asked > _ASK_SECONDS and any(held.fault in TRAFFIC for held, _, _ in self._held):
            self._asked = time.monotonic()
            rows = [row for lease in self._agent.leases() for row in lease["seen"]]
            self._let_in = sum(count for tally, count in read_tallies(rows).items() if tally.false_accept)
        return self._let_in

    def _seen_all(self, phase: Phase, now: float, lasted: float) -> bool:
        """Whether the phase has shown what it is for."""
        if phase is Phase.FAULT and self._watcher is not None and self.demands.deadlines and self._held:
            since = min(begin for _, _, begin in self._held)
            seen = {(span.name, span.severity) for span in self._watcher.spans() if not span.suppressed}
            least = max(_LEAST_FAULT, self.expected.false_accepts_within or 0.0)
            return now - since >= least and {(d.name, d.severity.value) for d in self.demands.deadlines} <= seen
        if phase is Phase.RECOVERY and lasted >= _LEAST_RECOVERY and self._load is not None and self._load.clean:
            return all(span.severity != Severity.PAGE for span in self._firing())
        return False

    def _stop(self, reason: str) -> None:
        """End every fault now, see the target recover, and end the drill. Raises StoppedError."""
        self.record.stopped = self.record.stopped or reason
        self._did(f"stopping: {reason}")
        self._journal.note("drill stops itself", drill=self._title, why=reason)
        by_another = self._lost
        with contextlib.suppress(JwtdrillError):  # tried again when the drill is closed
            self.end_faults()
        if self.record.faults and not by_another:  # the next drill wants it steady; who stops it, to go at once
            self.observe(Phase.RECOVERY, self.demands.gone_within)
        raise StoppedError(reason)

    def begin_fault(self, fault: str, params: Mapping[str, Any], lease: float) -> None:
        """Put a fault in force under a lease that this process keeps alive. Raises JwtdrillError."""
        self.target.refuse_production("a fault")
        if not self.target.break_.allows(fault):
            raise BadInputError(f"{self.target.path}: fault {fault} is not among what [break] allows")
        if fingerprint(self.target) != self._fingerprint:
            raise BadInputError(f"{self.target.path}: has changed since the drill began: begin it again")
        held = self._agent.begin(fault, params, lease)
        self._held.append((held, dict(params), time.time()))
        self._say(f"fault {fault} in force, lease {lease:g} s")

    def end_faults(self) -> None:
        """End every fault of this drill. Safe to call twice. Raises JwtdrillError when the agent does not obey."""
        while self._held:
            held, params, begin = self._held[-1]
            self._traffic += held.end()
            self._held.pop()
            self.record.faults.append(FaultSeen(held.fault, params, begin, time.time()))
            if held.lost and not self.record.stopped:
                self.fail(f"the lease of {held.fault} was lost: the fault ended before it should have")
            self._say(f"fault {held.fault} ended")
            self._annotate("fault", held.fault, Interval(begin, self.record.faults[-1].end))

    def stop_load(self) -> None:
        """Stop load and canary, and read what the load saw. Safe to call twice. Raises JwtdrillError."""
        if self._load_running:
            self._load_running = False
            self.record.actions.append(ActionSeen(time.time(), "load stopped"))
            self._read_load(stop_load(self._supervisor, self._folder.path))

    def fail(self, problem: str) -> None:
        """Note that the drill itself went wrong; the first problem counts."""
        self.record.problem = self.record.problem or problem

    def close(self) -> Judged:
        """End whatever still is, collect, and judge. Never raises for what the drill left behind."""
        for step in (self.end_faults, self.stop_load, self._undeclare, self._holding.close):
            try:
                step()
            except JwtdrillError as error:
                self.fail(str(error))
        self._supervisor.stop()
        if self._watcher is not None:
            self._watcher.stop()
            self.record.alerts = self._watcher.spans()
            if self._watcher.failures:
                self.fail(f"Alertmanager did not answer {self._watcher.failures} times")
        self._read_burn()
        self._agent.close()
        self._folder.remove()
        judged = judge(self.record, self.expected, self.demands, objectives(self.target.objectives_path))
        self._journal.note("drill ends", drill=self._title, outcome=judged.outcome.value)
        return judged

    def _did(self, what: str) -> None:
        self.record.actions.append(ActionSeen(time.time(), what))
        self._say(what)

    def _undeclare(self) -> None:
        if self._declaration is not None:
            self._declaration.close()

    def _firing(self) -> list[AlertSpan]:
        return self._watcher.active() if self._watcher is not None else []

    def _read_load(self, run_file: Path) -> None:
        try:
            content = json.loads(run_file.read_bytes())
        except (OSError, ValueError):
            raise MissingPartError(f"the load left no result: {self._supervisor.log('load')}") from None
        sent: dict[int, list[dict[str, Any]]] = {}
        for row in self._traffic:
            sent.setdefault(row["time"], []).append(row)
        for entry in content["timeline"]:
            counts = read_tallies(entry["tallies"])
            mean = entry["latency_sum"] / max(1, sum(counts.values()))
            for tally, count in read_tallies(sent.get(entry["time"], [])).items():
                counts[tally] = counts.get(tally, 0) + count
            self.record.seconds.append(SecondSeen(entry["time"], counts, mean, entry["latency_max"]))

    def _read_burn(self) -> None:
        if self._watcher is None or self.target.watch.prometheus is None or not self.record.phases:
            return
        intervals = self.record.phases.values()
        begin, end = min(i.begin for i in intervals), max(i.end for i in intervals)
        tier = next(o for o in objectives(self.target.objectives_path) if o.burn_tiers).burn_tiers[0]
        for window in (tier.short, tier.long):
            expr = f'max by (objective) ({burn_rate(window)}{{objective="verification"}})'
            series = query_range(self.target.watch.prometheus, expr, begin, end)
            for points in series.values():
                self.record.burn[burn_rate(window).rpartition(":")[2]] = points


_current: Session | None = None


def current() -> Session:
    """The session that is under way. Raises JwtdrillError when the control is not loaded."""
    if _current is None:
        raise JwtdrillError("no drill is under way: the experiment lacks the control jwtdrill.drill.control")
    return _current


def under_way() -> bool:
    """Whether a session is open."""
    return _current is not None


def set_current(session: Session | None) -> None:
    """Open or close the session of this process."""
    global _current  # noqa: PLW0603 - Chaos Toolkit's actions are functions of a module: this is their only tie
    _current = session
