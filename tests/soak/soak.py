"""Kills controllers in every way at every moment, and looks at what stays: nothing, and not for longer than a lease.

From the signal on no fault may stand for longer than its lease and one second; by then gauges, clocks, keys and proxied
endpoints are as they were. The target is steady again within what the faults that had begun declare, in every round: it
is asked until it is, mostly long before (so sixty rounds take five minutes, though some declare more than one). The
first probe that *begins* after that time must hold. Whatever the controller started is gone a lease and a second later.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.drill.shortened import shortened
from tests.soak.ground import BIN, MARKER, ROOT, Begun, Ground
from tests.soak.rounds import Round, Victim, Way

from jwtdrill.faults.claim import CLAIM

LEASE = 2.0  # seconds
GRACE = 1.0  # that a fault may outlast its lease
_AFTER_A_PAUSE = 1.0  # that it may outlast the agent's pause, if that was longer than the lease
_AWAY = 5.0  # that a killed agent may be away: alone on two cores it is for one to two
_AGENT_BACK = 3.0  # what outlasts the death of the agent: a back-off of the verifiers, as in docs/faults.md
_ENDS = {Way.FAULTS: 10.0, Way.CHAOS_RUN: 30.0, Way.GAMEDAY: 30.0}  # seconds in which INT and TERM are obeyed
_GIVE_UP = 15.0
_LOOK = 0.05
_STARTS = {"misuse": 1.0, "clock.skewed_claims": 1.0, "cpu": 0.3, "load": 0.5}  # seconds that a fault takes to begin
_PHASES = (3.0, 4.0, 3.0)  # of a shortened drill: control, fault, recovery
_STEPS = 6  # starts of a Python that a drill takes beside them
_LEAST = sum(_PHASES[:2])  # seconds that one takes at least
Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """Of one round. hit: the victim still lived; begun: the faults that began; overstay: seconds past their lease.

    steady: seconds until the target was, of `bound` that it might take; away: that a killed agent was.
    """

    round: Round
    hit: bool = True
    begun: list[Begun] = field(default_factory=list)
    in_force: int = 0
    overstay: float = 0.0
    steady: float = 0.0
    bound: float = 0.0
    away: float = 0.0
    findings: list[str] = field(default_factory=list)


class Soak:
    """Rounds on one ground. `say` is told of each that went wrong."""

    def __init__(self, ground: Ground, seed: int, say: Say) -> None:
        self._ground = ground
        self._seed = seed
        self._say = say
        self._start = 0.0  # seconds that a controller takes to do nothing
        self._claims: dict[str, float] = {}  # until when a killed drill's claim may stand, monotonic seconds

    def run(self, plans: Iterable[Round], kills: int) -> list[Outcome]:
        """Rounds until so many controllers were hit; those that ended before they were come on top."""
        self._warm_up()
        outcomes: list[Outcome] = []
        for plan in plans:
            outcome = self._round(plan)
            outcomes.append(outcome)
            for finding in outcome.findings:
                self._say(f"round {plan.number} of seed {self._seed}, {plan}: {finding}")
            if outcome.findings:
                self._ground.raise_lab()
                self._warm_up()
            done = sum(one.hit and one.round.victim is Victim.CONTROLLER for one in outcomes)
            if done and done % 10 == 0 and plan.victim is Victim.CONTROLLER:
                self._say(f"{done}/{kills} {summary(outcomes)}")
            if done >= kills:
                break
        return outcomes

    def _warm_up(self) -> None:
        """One round that nobody disturbs: how long it takes, and what a lab has afterwards."""
        self._claims.clear()
        began = time.monotonic()
        plan = Round(0, Way.FAULTS, Victim.CONTROLLER, signal.SIGCONT, 1.0, (("jwks.status", {}),))
        self._launch(plan).wait()
        self._start = time.monotonic() - began
        shutil.rmtree(self._scratch)
        while self._ground.problem():
            time.sleep(_LOOK)
        self._ground.settle()

    def _round(self, plan: Round) -> Outcome:
        outcome = Outcome(plan)
        if plan.drill:
            self._await_claims(outcome)
        if self._faults():
            outcome.findings.append("there is a fault before it begins")
        controller, began = self._launch(plan), time.monotonic()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                controller.wait(plan.moment * self._life(plan))
            outcome.hit = controller.poll() is None
            if not outcome.hit:
                self._learn_from_early_end(plan, controller, time.monotonic() - began, outcome)
            allowed = self._strike(plan, controller, outcome)
            hit, hit_wall = time.monotonic(), time.time()
            over = self._await_ends(outcome, hit, allowed)
            self._await_controller(plan, controller, outcome)
            over = self._await_ends(outcome, hit, allowed, over)  # of what was still on its way to the agent too
            outcome.begun = self._ground.begun()
            outcome.in_force = sum(one.ended is None or one.ended > hit_wall for one in outcome.begun)
            outcome.overstay = max(0.0, over - hit - LEASE) if outcome.begun else 0.0
            self._await_nothing(outcome, max(over, hit + LEASE + GRACE), self._ground.in_force)
            self._await_steady(outcome, over)
            marker = self._marker(plan)
            self._await_nothing(outcome, time.monotonic() + LEASE + GRACE, lambda: self._ground.left(marker))
            if plan.victim is Victim.CONTROLLER and any(one.ended is None for one in outcome.begun):
                outcome.findings.append("the journal does not tell of the end of each fault")
            if self._faults():
                outcome.findings.append("there is a fault when all is over")
            if (self._scratch / ".out.new").exists():
                outcome.findings.append("half a report is left")
        finally:
            self._ground.kill(self._marker(plan))
            controller.wait()
            shutil.rmtree(self._scratch)
        return outcome

    def _learn_from_early_end(
        self, plan: Round, controller: "subprocess.Popen[bytes]", seconds: float, outcome: Outcome
    ) -> None:
        """Starts take less than was thought, so that the next signal comes in time; or the controller has given up."""
        if plan.way is Way.FAULTS and not controller.returncode:
            self._start = min(self._start, seconds - plan.hold)
        elif plan.way is Way.FAULTS or seconds < _LEAST:
            last = (self._scratch / "controller.log").read_text(errors="replace").strip().splitlines()[-1:]
            outcome.findings.append(f"the controller ended by itself: {''.join(last)}")

    def _strike(
        self, plan: Round, controller: "subprocess.Popen[bytes]", outcome: Outcome
    ) -> Callable[[dict[str, Any]], float]:
        """Send the signal; returns how long each lease may stand from now on."""
        if plan.victim is Victim.CONTROLLER:
            controller.send_signal(plan.signal)
            return lambda lease: lease["lease"] + GRACE
        held = {lease["id"] for lease in self._ground.leases() or ()}
        pid, began = self._ground.agent_pid(), time.monotonic()
        os.kill(pid, plan.signal)
        if plan.signal is signal.SIGSTOP:
            time.sleep(LEASE + 2 * plan.moment)
            controller.kill()  # its last heartbeats are with the agent, unread
            os.kill(pid, signal.SIGCONT)
            return lambda lease: _AFTER_A_PAUSE if lease["id"] in held else lease["lease"] + GRACE
        while self._ground.leases() is None and time.monotonic() - began < _GIVE_UP:
            time.sleep(_LOOK)
        outcome.away = time.monotonic() - began
        if outcome.away > _AWAY:
            outcome.findings.append(f"the agent was away for {outcome.away:.1f} s")
        controller.kill()
        return lambda lease: lease["lease"] + GRACE

    def _await_ends(
        self, outcome: Outcome, hit: float, allowed: Callable[[dict[str, Any]], float], over: float | None = None
    ) -> float:
        """Wait until no fault is in force, and say which stays too long; returns when that was.

        over: when it was already, unless one has come since.
        """
        late: set[str] = set()
        while True:
            leases, now = self._ground.leases(), time.monotonic()
            for lease in leases or ():
                if lease["fault"] == CLAIM:
                    self._claims.setdefault(lease["id"], hit + allowed(lease))
                elif now > hit + allowed(lease) and lease["id"] not in late:
                    late.add(lease["id"])
                    left = lease["remaining"]
                    outcome.findings.append(f"{lease['fault']} stands {now - hit:.1f} s after it, {left:g} s to go")
            if leases is not None and all(lease["fault"] == CLAIM for lease in leases):
                return over or now
            over = None
            if now > hit + _GIVE_UP or (leases is None and now > hit + LEASE + GRACE):
                outcome.findings.append("the agent does not answer" if leases is None else "given up: it does not end")
                return now
            time.sleep(_LOOK)

    def _await_controller(self, plan: Round, controller: "subprocess.Popen[bytes]", outcome: Outcome) -> None:
        if plan.signal is signal.SIGSTOP:
            controller.kill()
        try:
            controller.wait(_ENDS[plan.way])
        except subprocess.TimeoutExpired:
            outcome.findings.append("the controller does not end")
            controller.kill()

    def _await_nothing(self, outcome: Outcome, deadline: float, look: Callable[[], list[str]]) -> None:
        """Wait until a look finds nothing; what one that began after the deadline finds is a finding."""
        while True:
            began = time.monotonic()
            found = look()
            if not found:
                return
            if began > deadline:
                outcome.findings += found
                return
            time.sleep(_LOOK)

    def _await_steady(self, outcome: Outcome, over: float) -> None:
        outcome.bound = self._ground.bound(outcome.begun)
        if outcome.round.victim is Victim.AGENT:
            outcome.bound = max(outcome.bound, _AGENT_BACK)
        self._await_nothing(outcome, over + outcome.bound, lambda: list(filter(None, [self._ground.problem()])))
        outcome.steady = time.monotonic() - over

    def _await_claims(self, outcome: Outcome) -> None:
        """A killed drill's claim keeps the next one away for as long as its own lease, and no longer."""
        while claims := [lease["id"] for lease in self._ground.leases() or ()]:
            if any(time.monotonic() > self._claims.get(claim, 0.0) for claim in claims):
                outcome.findings.append("the claim of a drill before stands too long")
                return
            time.sleep(_LOOK)
        self._claims.clear()

    def _faults(self) -> list[dict[str, Any]]:
        return [lease for lease in self._ground.leases() or () if lease["fault"] != CLAIM]

    def _life(self, plan: Round) -> float:
        """Seconds that the controller would live."""
        if plan.drill:
            return sum(_PHASES) + _STEPS * self._start
        starts = (seconds for name, _ in plan.faults for part, seconds in _STARTS.items() if name.startswith(part))
        return self._start + plan.hold + sum(starts)

    @property
    def _scratch(self) -> Path:
        return self._ground.folder / "round"

    def _marker(self, plan: Round) -> str:
        return f"{self._seed}-{plan.number}"

    def _launch(self, plan: Round) -> "subprocess.Popen[bytes]":
        self._scratch.mkdir()
        with (self._scratch / "controller.log").open("wb") as log:
            return subprocess.Popen(
                self._argv(plan),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._ground.env | {MARKER: self._marker(plan)},
                cwd=ROOT,
                start_new_session=True,
            )

    def _argv(self, plan: Round) -> list[str | Path]:
        target = self._ground.lab / "target.toml"
        if plan.way is Way.FAULTS:
            order = {"target": str(target), "faults": plan.faults, "lease": LEASE, "hold": plan.hold}
            return [sys.executable, "-m", "tests.soak.controller", json.dumps(order)]
        path = shortened(self._scratch, plan.drill, *_PHASES, lease=LEASE)
        if plan.way is Way.CHAOS_RUN:
            journal = self._scratch / "journal.json"
            return [BIN / "chaos", "--no-version-check", "--no-log-file", "run", "--journal-path", journal, path]
        out = self._scratch / "out"
        return [BIN / "jwtdrill", "gameday", path, "--target", target, "--yes", "--without-alerts", "--out", out]


def summary(outcomes: list[Outcome]) -> str:
    """All of them in one line."""
    hit = [one for one in outcomes if one.hit]
    signals = Counter(one.round.signal.name for one in hit if one.round.victim is Victim.CONTROLLER)
    agents = Counter(one.round.signal.name for one in hit if one.round.victim is Victim.AGENT)
    stays = [one.overstay for one in hit if one.in_force] or [0.0]
    steady = [one.steady for one in hit if one.begun] or [0.0]
    away = max((one.away for one in outcomes), default=0.0)
    return (
        f"kills: {_counts(signals)}; of the agent: {_counts(agents)}, away {away:.1f} s at most; "
        f"with a fault in force: {sum(one.in_force > 0 for one in hit)}, past the lease by {max(stays):.2f} s at most, "
        f"median {statistics.median(stays):.2f} s; steady after {max(steady):.1f} s at most, "
        f"median {statistics.median(steady):.1f} s; kinds of faults: "
        f"{len({one.fault.rpartition('.')[2] for outcome in outcomes for one in outcome.begun})}; "
        f"drills: {sum(bool(one.round.drill) for one in hit)}; "
        f"over before the signal: {len(outcomes) - len(hit)}; findings: {sum(len(one.findings) for one in outcomes)}"
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"
