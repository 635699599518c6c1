"""Master and workers: who sends which share of the load, and whose results are in.

A worker says hello with its version, tells what it saw each second, and at the end sends all of it once more, until the
master acknowledges that. The master hands out the shares anew whenever a worker comes or goes; what a lost one had not
told is estimated and said, never guessed into the totals.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.event import Event
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from jwtdrill import __version__
from jwtdrill.load.arrivals import Share
from jwtdrill.load.fitness import Fitness, Missed
from jwtdrill.load.run import Run
from jwtdrill.load.scoreboard import Scoreboard

_HELLO, _PART, _FINAL = "jwtdrill_hello", "jwtdrill_part", "jwtdrill_final"  # from worker to master
_SHARE, _DRAIN, _ACK = "jwtdrill_share", "jwtdrill_drain", "jwtdrill_ack"  # from master to worker
_PART_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_SILENT_SECONDS = 3.0  # without a part, after which a worker's share goes to the others
_HELLO_SECONDS = 5.0
_FINAL_SECONDS = 30.0  # longer than a worker may take to drain
_ACK_SECONDS = 15.0
_RATE_SECONDS = 10.0  # over which a lost worker's rate is taken


class Worker:
    """A worker's side. `take_share` is told each new share, and the seconds since the open model's beginning."""

    def __init__(self, runner: WorkerRunner, take_share: Callable[[Share, float | None, float], None]) -> None:
        self._runner = runner
        self._take_share = take_share
        self._acknowledged = Event()
        self._reporter: gevent.Greenlet | None = None
        runner.register_message(_SHARE, lambda msg, **_: self._shared(msg.data))
        runner.register_message(_ACK, lambda **_: self._acknowledged.set())
        # In a greenlet of its own: to stop takes as long as the slowest request in flight.
        runner.register_message(_DRAIN, lambda **_: runner.stop(), concurrent=True)
        runner.send_message(_HELLO, {"version": __version__})

    def begin(self, run: Run, collect: Callable[[], None]) -> None:
        """Report what `run` sees from now on. `collect` is called before each report."""
        self._acknowledged.clear()
        run.board.keeps_unsent = True
        self._reporter = gevent.spawn(self._report, run, collect)

    def finish(self, run: Run) -> None:
        """Send everything, again and again until the master has it; returns at once."""
        if self._reporter is not None:
            self._reporter.kill()
        data = {"board": run.board.state(), "fitness": run.fitness.state()}
        gevent.spawn(self._send_final, data)

    def await_acknowledgement(self) -> None:
        """Wait until all is drained and the master has it, but not for ever."""
        if self._reporter is not None:
            self._acknowledged.wait(_FINAL_SECONDS)

    def _shared(self, data: dict[str, Any]) -> None:
        self._take_share(Share(data["index"], data["of"]), data["elapsed"], data["token_share"])

    def _report(self, run: Run, collect: Callable[[], None]) -> None:
        while True:
            gevent.sleep(_PART_SECONDS)
            collect()
            part = {"seconds": run.board.take_unsent(), "fitness": run.fitness.state()}
            self._runner.send_message(_PART, part)

    def _send_final(self, data: dict[str, Any]) -> None:
        deadline = time.monotonic() + _ACK_SECONDS
        while time.monotonic() < deadline:
            self._runner.send_message(_FINAL, data)
            if self._acknowledged.wait(2):
                return
        sys.stderr.write("jwtdrill: the master did not acknowledge this worker's last results\n")


@dataclass
class Node:
    """What the master knows of one worker."""

    version: str | None = None
    board: Scoreboard = field(default_factory=Scoreboard)
    fitness: dict[str, Any] | None = None
    heard: float = 0.0  # time.monotonic
    final: bool = False
    lost: bool = False
    untold: int = 0  # answers that it may have had and did not tell, about


class Master:
    """The master's side: `nodes` by Locust's name for each worker that takes part."""

    def __init__(self, runner: MasterRunner) -> None:
        self._runner = runner
        self._hellos: dict[str, str] = {}
        self.nodes: dict[str, Node] = {}
        self.live = Scoreboard()  # what all have told so far
        self.lost = Fitness()  # what nobody sent while a worker was gone and not yet missed
        self._shared: tuple[str, ...] = ()
        self._token_share = 1.0
        self._began: float | None = None
        self._supervisor: gevent.Greenlet | None = None
        runner.register_message(_HELLO, lambda msg, **_: self._hellos.update({msg.node_id: msg.data["version"]}))
        runner.register_message(_PART, lambda msg, **_: self._part(msg.node_id, msg.data))
        runner.register_message(_FINAL, lambda msg, **_: self._final(msg.node_id, msg.data))

    def begin(self) -> str:
        """Let all workers begin; returns why not, if not: one of another version would judge by other rules."""
        now = time.monotonic()
        names = self._active()
        deadline = now + _HELLO_SECONDS
        while not set(names) <= set(self._hellos) and time.monotonic() < deadline:
            gevent.sleep(0.02)
        for name in names:
            version = self._hellos.get(name)
            if version != __version__:
                return (
                    f"worker {name} runs jwtdrill {version or '(none: an older one, or another locustfile)'}, "
                    f"this master {__version__}: install the same on both"
                )
        self.nodes = {name: Node(version=__version__, heard=now) for name in names}
        self.live = Scoreboard()
        self.lost = Fitness()
        self._began = None
        self._token_share = 1 / max(1, len(names))
        self._share_out()
        self._supervisor = gevent.spawn(self._supervise)
        return ""

    def begin_arrivals(self) -> None:
        """The open model's time begins now, if it has not."""
        if self._began is None:
            self._began = time.monotonic()
            self._share_out()

    def finish(self) -> None:
        """Tell all workers to drain, and wait for their last results."""
        if self._supervisor is not None:
            self._supervisor.kill()
        for name in self._missing():
            self._runner.send_message(_DRAIN, None, name)  # Locust itself tells them only after this
        deadline = time.monotonic() + _FINAL_SECONDS
        while self._missing() and time.monotonic() < deadline:
            gevent.sleep(0.02)
        for name, node in self.nodes.items():
            if not node.final and not node.lost:
                self._lose(name, node, None)

    def results(self) -> Scoreboard:
        """What all saw: of each its last results, or what it had told before it was lost."""
        board = Scoreboard()
        for node in self.nodes.values():
            board.merge(node.board.state())
        return board

    def fitness(self) -> Fitness:
        """What all saw of themselves, and what was not sent for want of a worker."""
        fitness = Fitness()
        fitness.merge(self.lost.state())
        for node in self.nodes.values():
            if node.fitness is not None:
                fitness.merge(node.fitness)
        return fitness

    @property
    def gone(self) -> dict[str, Node]:
        """Workers whose last results did not come."""
        return {name: node for name, node in self.nodes.items() if not node.final and node.lost}

    def _active(self) -> list[str]:
        clients = self._runner.clients
        return sorted(client.id for client in clients.ready + clients.spawning + clients.running)

    def _dead(self) -> set[str]:
        """Those whose heart does not beat any more. One that left in order is not among them: it tells its results."""
        return {client.id for client in self._runner.clients.all if client.state == STATE_MISSING}

    def _missing(self) -> set[str]:
        dead = self._dead()
        return {name for name, node in self.nodes.items() if not node.final and not node.lost and name not in dead}

    def _supervise(self) -> None:
        while True:
            gevent.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            dead = self._dead()
            for name in set(self._active()) - set(self.nodes):  # one that came later
                if self._hellos.get(name) == __version__:
                    self.nodes[name] = Node(version=__version__, heard=now)
            for name, node in self.nodes.items():
                gone = name in dead or now - node.heard > _SILENT_SECONDS
                if gone and not node.lost and not node.final:
                    self._lose(name, node, now)
                elif node.lost and not gone:
                    node.lost, node.untold = False, 0  # it was only slow: it tells all at the end
            if self._sharers() != self._shared:
                self._share_out()

    def _lose(self, name: str, node: Node, now: float | None) -> None:
        """Note what it may not have told, and what nobody sent in its place until now."""
        rate = _rate(node.board)
        node.lost = True
        node.untold = round(rate * _PART_SECONDS)
        if now is not None:
            unsent = round(rate * (now - node.heard))
            self.lost.due += unsent
            if unsent:
                self.lost.miss(Missed.WORKER_LOST, unsent)
        sys.stderr.write(
            f"jwtdrill: worker {name} is lost: up to about {node.untold:,} answers of its last second are not counted\n"
        )

    def _sharers(self) -> tuple[str, ...]:
        present = {client.id for client in self._runner.clients.all}
        return tuple(sorted(name for name, node in self.nodes.items() if name in present and not node.lost))

    def _share_out(self) -> None:
        self._shared = self._sharers()
        elapsed = None if self._began is None else time.monotonic() - self._began
        for index, name in enumerate(self._shared):
            share = {
                "index": index,
                "of": len(self._shared),
                "elapsed": elapsed,
                "token_share": self._token_share,
            }
            self._runner.send_message(_SHARE, share, name)

    def _part(self, name: str, data: dict[str, Any]) -> None:
        node = self.nodes.get(name)
        if node is None or node.final:
            return
        node.heard = time.monotonic()
        node.board.fold(data["seconds"])
        self.live.fold(data["seconds"])
        node.fitness = data["fitness"]

    def _final(self, name: str, data: dict[str, Any]) -> None:
        node = self.nodes.get(name)
        if node is None:
            return
        if not node.final:
            node.board = Scoreboard()
            node.board.merge(data["board"])
            node.fitness = data["fitness"]
            node.final = True
        self._runner.send_message(_ACK, None, name)


def _rate(board: Scoreboard) -> float:
    """Answers/s over the last seconds that it tells of."""
    if not board.timeline:
        return 0.0
    last = max(board.timeline) + board.second_width
    recent = {at: second for at, second in board.timeline.items() if at >= last - _RATE_SECONDS}
    return sum(sum(second.counts.values()) for second in recent.values()) / (last - min(recent))
