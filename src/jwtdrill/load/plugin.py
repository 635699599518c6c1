"""Hooks into Locust: our options, what all clients of a process share, verdict and exit code."""

import inspect
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gevent
from gevent.event import Event
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.runners import MasterRunner, Runner, WorkerRunner
from rich.console import Console

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.flows.token import ClientIdentity
from jwtdrill.load.arrivals import Share
from jwtdrill.load.exporter import ScoreboardCollector, serve
from jwtdrill.load.files import check_report, write
from jwtdrill.load.fitness import Fitness, doubt, not_ours, problems
from jwtdrill.load.holding import Holding
from jwtdrill.load.latency import quantile
from jwtdrill.load.lookahead import Lookahead
from jwtdrill.load.open_loop import Arriving, OpenLoop
from jwtdrill.load.options import add_options, given_options
from jwtdrill.load.report import progress, summary
from jwtdrill.load.result import Lost, Result
from jwtdrill.load.run import Reuse, Run, prepare
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.load.sender import most_connections
from jwtdrill.load.supplies import Supplies
from jwtdrill.load.team import Master, Worker
from jwtdrill.load.verdict import judge, lost, outcome
from jwtdrill.load.watchdog import Watchdog
from jwtdrill.processes.supervisor import port_in_use
from jwtdrill.target.model import Client

_HIGHEST_PORT = 65535
_SETTLE = 0.5  # seconds for all clients to get their first tokens before requests arrive for them
_DRAIN_SECONDS = 10.0  # for requests in flight when a run ends: longer than their time-out is not needed
_PROGRESS_SECONDS = 5.0
_LOST_SECONDS = 0.5
_WIDTH = 140  # columns of a table that goes to no terminal
_F = TypeVar("_F", bound=Callable[..., None])


@dataclass
class _State:
    """Of this process."""

    run: Run | None = None
    draining: bool = False
    stopped: bool = True
    go: Event = field(default_factory=Event)  # load may begin
    share: Share = field(default_factory=Share)
    clients: list[Arriving] = field(default_factory=list)
    numbered: int = 0  # simulated clients until now
    open_loop: OpenLoop | None = None
    supplies: Supplies | None = None
    watchdog: Watchdog | None = None
    beside: list[gevent.Greenlet] = field(default_factory=list)  # that look on while the load runs
    master: Master | None = None
    worker: Worker | None = None
    users: int = 0
    refused: str = ""
    close_metrics: Callable[[], None] | None = None
    result: Result | None = None


_state = _State()


def current_run() -> Run:
    """The run that the clients of this process belong to."""
    assert _state.run is not None, "import jwtdrill.load.users in the locustfile, and start it with locust"
    return _state.run


def draining() -> bool:
    """Whether the run is ending: what is in flight is answered, nothing new is sent."""
    return _state.draining


def await_go() -> None:
    """Wait until the load may begin."""
    _state.go.wait()


def enter(client: Arriving) -> None:
    """From now on requests may arrive for that client."""
    _state.clients.append(client)


def leave(client: Arriving) -> None:
    """Nothing arrives for it any more."""
    if client in _state.clients:
        _state.clients.remove(client)


def next_number() -> int:
    """Of a simulated client, from 0: the numbers of all processes interlock."""
    share, _state.numbered = _state.share, _state.numbered + 1
    return share.index + share.of * (_state.numbered - 1)


def identity(client: Client, sharers: int) -> ClientIdentity:
    """That client with its credential; sharers: so many different ones there are."""
    return _supplies().identity(client, sharers)


def pooled_holding() -> Holding | None:
    """The next token of the pool; None where each client holds its own."""
    return _supplies().pooled()


def minted(genuine: str) -> Lookahead:
    """Fresh tokens like the genuine one."""
    return _supplies().minted(genuine)


def _supplies() -> Supplies:
    assert _state.supplies is not None
    return _state.supplies


def _on(hook: EventHook) -> Callable[[_F], _F]:
    """Listener decorator, typed as Locust's is not."""
    add: Callable[[_F], _F] = hook.add_listener
    return add


@_on(events.init_command_line_parser)
def _add_options(parser: LocustArgumentParser) -> None:
    """Add our options, and check all they name before Locust starts anything. Fires again with each web UI page."""
    add_options(parser)
    if _state.run is None and not {"-h", "--help", "-V", "--version", "-l", "--list"} & set(sys.argv):
        given, _ = parser.parse_known_args()
        try:
            _state.run = prepare(given_options(given))
            if _state.run.reuse is not Reuse.POOL:
                _state.run.require_tokens(given.num_users or 1, f"-u {given.num_users}")
            if given.report:
                check_report(Path(given.report))
            if not 0 <= given.metrics_port <= _HIGHEST_PORT:
                raise BadInputError(
                    f"--metrics-port {given.metrics_port}: choose one up to {_HIGHEST_PORT}, or 0 for none"
                )
            # Here, before any worker is forked: an exit later on would leave them behind.
            if given.metrics_port and not given.worker and port_in_use(given.metrics_port):
                raise BadInputError(f"--metrics-port {given.metrics_port} is in use: give another, or 0 for none")
        except JwtdrillError as error:
            parser.exit(error.exit_code, f"jwtdrill: {error}\n")


@_on(events.init)
def _init(environment: Environment, runner: Runner, **_: Any) -> None:
    environment.stop_timeout = environment.stop_timeout or _DRAIN_SECONDS
    if isinstance(runner, MasterRunner):  # before anything that takes time: workers say at once who they are
        _state.master = Master(runner)
    elif isinstance(runner, WorkerRunner):
        _state.worker = Worker(runner, _take_share)
        # Last come, first called: the master has our results before Locust tells it that we quit.
        _on(environment.events.quitting)(_worker_quits)
    _leave_out_impossible(environment)
    port = getattr(environment.parsed_options, "metrics_port", 0)
    if port and not isinstance(runner, WorkerRunner):
        collector = ScoreboardCollector(_board, _fitness, lambda: runner.user_count)
        _state.close_metrics = serve(
            collector, port, getattr(environment.parsed_options, "metrics_address", "127.0.0.1")
        )
    gevent.sleep(0)  # the loop's clock is as old as our imports: without this a short --run-time is cut shorter


def _leave_out_impossible(environment: Environment) -> None:
    """Clients that the target allows no work go; exit when none is left."""
    run = current_run()
    for kind in list(environment.user_classes):
        why = kind.impossible(run) if hasattr(kind, "impossible") else ""
        if why:
            sys.stderr.write(f"jwtdrill: {run.target.path}: {kind.__name__} is left out: {why}\n")
            environment.user_classes.remove(kind)
    if not environment.user_classes:
        sys.exit(BadInputError.exit_code)
    if isinstance(environment.runner, WorkerRunner):
        return  # the master has looked
    for kind in environment.user_classes:
        try:
            if hasattr(kind, "rehearse"):
                kind.rehearse(run)
        except JwtdrillError as error:
            sys.stderr.write(f"jwtdrill: {kind.__name__}: {error}\n")
            sys.exit(error.exit_code)


@_on(events.user_error)
def _task_failed(exception: BaseException, **_: Any) -> None:
    current_run().fitness.broke(exception)


@_on(events.test_start)
def _start(environment: Environment, **_: Any) -> None:
    run = current_run()
    run.begin()
    _state.draining = _state.stopped = False
    _state.result, _state.refused = None, ""
    _state.clients.clear()
    _state.numbered = 0
    given = environment.parsed_options
    if given is not None:
        try:
            run.configure(given_options(given))  # as edited in the web UI, and sent to workers
        except JwtdrillError as error:
            _refuse(environment, str(error))
            return
    if _state.master is not None:
        _state.users = 0
        _refuse(environment, _state.master.begin())
    else:
        _begin_load(run, getattr(given, "processes", None) or 1)
        if _state.worker is not None:
            _state.worker.begin(run, _note)
        else:
            _state.go.set()
    if _state.worker is None and not _state.refused:
        _state.beside = [gevent.spawn(_tell_progress)]
        if run.options.stop_lost:
            _state.beside.append(gevent.spawn(_stop_when_lost, environment, run.options.stop_lost))


def _begin_load(run: Run, processes: int) -> None:
    """Get ready to send, in the process that does: one of so many on this machine."""
    inspect.stack()  # Locust does this when it stops: the first time takes 30 ms, in which no answer would be read
    _state.supplies = Supplies(run, processes)
    _state.watchdog = Watchdog(run.fitness)
    if run.rate is not None:
        dice = run.dice(_state.share.index)
        _state.open_loop = OpenLoop(run.rate, _state.clients, run.fitness, most=most_connections(), dice=dice)


@_on(events.spawning_complete)
def _spawned(user_count: int, **_: Any) -> None:
    """All clients are there: the open model's time begins. Fires again when workers come or go."""
    _state.users = max(_state.users, user_count)
    if _state.master is not None:
        gevent.spawn_later(_SETTLE, _state.master.begin_arrivals)
    elif _state.worker is None and _state.open_loop is not None and not _state.open_loop.begun:
        _state.open_loop.begun = True
        gevent.spawn_later(_SETTLE, _begin_arrivals, _state.open_loop, Share(), 0.0, first=True)


def _take_share(share: Share, elapsed: float | None, token_share: float) -> None:
    """A worker's share of the load, from the master."""
    run = current_run()
    run.share, run.token_share = 1 / share.of, token_share
    _state.share = share
    _state.go.set()
    if elapsed is not None and _state.open_loop is not None and not _state.draining:
        gevent.spawn(_begin_arrivals, _state.open_loop, share, elapsed, first=not _state.open_loop.begun)


def _begin_arrivals(loop: OpenLoop, share: Share, elapsed: float, *, first: bool) -> None:
    """Begin, or go on with another share, once there is a client for whom requests can arrive."""
    loop.begun = True
    since = time.monotonic()
    while not _state.clients and not _state.draining:
        gevent.sleep(0.05)
    if _state.draining or _state.open_loop is not loop:
        return
    if first and _state.supplies is not None:
        _state.supplies.forget()
    loop.run(share, elapsed + time.monotonic() - since)


@_on(events.test_stopping)
def _stopping(**_: Any) -> None:
    _state.draining = True
    if _state.open_loop is not None:
        _state.open_loop.stop()


@_on(events.test_stop)
def _stop(**_: Any) -> None:
    if _state.stopped:  # Locust says so twice where a worker is told to stop, and then to quit
        return
    _state.stopped = True
    run = current_run()
    if _state.open_loop is not None:
        run.fitness.unanswered += _state.open_loop.drain(_DRAIN_SECONDS)
        _state.open_loop = None
    if _state.watchdog is not None:
        _state.watchdog.stop()
    _note()
    if _state.supplies is not None:
        _state.supplies.close()
    _state.go.clear()
    if _state.worker is not None:
        _state.worker.finish(run)
    elif _state.master is not None:
        _state.master.finish()
    gevent.killall(_state.beside)
    _state.beside = []


@_on(events.quitting)
def _quitting(environment: Environment, **_: Any) -> None:
    if _state.worker is not None:
        return
    runner = environment.runner
    if not _state.stopped and runner is not None:  # after Ctrl-C Locust stops the load only later
        runner.stop(send_stop_to_client=False) if isinstance(runner, MasterRunner) else runner.stop()
    if _state.close_metrics is not None:
        _state.close_metrics()
        _state.close_metrics = None
    if _state.refused:
        environment.process_exit_code = BadInputError.exit_code
        return
    result = _state.result = _finished(environment)
    environment.process_exit_code = result.outcome.exit_code
    if result.run.options.report is not None:
        try:
            write(result.run.options.report, result)
        except JwtdrillError as error:
            sys.stderr.write(f"jwtdrill: {error}\n")
            environment.process_exit_code = error.exit_code


def _worker_quits(environment: Environment, **_: Any) -> None:
    assert _state.worker is not None
    if not _state.stopped and environment.runner is not None:
        environment.runner.stop()
    _state.worker.await_acknowledgement()


@_on(events.quit)
def _quit(**_: Any) -> None:
    """After Locust's own summary, so that ours is what one sees last."""
    if _state.result is None:
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for part in summary(_state.result):
        console.print(part)
    _state.result = None


def _refuse(environment: Environment, why: str) -> None:
    """Say why this load does not begin, and end it before anything is sent."""
    if not why:
        return
    _state.refused = why
    _state.draining = True
    sys.stderr.write(f"jwtdrill: {why}\n")
    runner, given = environment.runner, environment.parsed_options
    if runner is not None:
        gevent.spawn(runner.quit if given is not None and given.headless else runner.stop)


def _note() -> None:
    """Bring the fitness of this process up to date."""
    if _state.supplies is not None:
        _state.supplies.note(current_run().fitness)


def _board() -> Scoreboard:
    """What all processes have seen so far."""
    return current_run().board if _state.master is None else _state.master.live


def _fitness() -> Fitness:
    """What all processes have seen of themselves so far."""
    if _state.master is not None:
        return _state.master.fitness()
    _note()
    return current_run().fitness


def _finished(environment: Environment) -> Result:
    run = current_run()
    board = run.board if _state.master is None else _state.master.results()
    fitness = _fitness()
    if not board.total:
        fitness.stop_because("nothing was sent: see the messages above")
    rows = judge(board, run.objectives)
    latency = board.merged_latency(lambda _: True)
    p99 = quantile(latency, 0.99) / 1e6 if latency.get_total_count() else 0.0
    why = problems(fitness, open_model=run.rate is not None, p99=p99)
    missed = [row for row in rows if row.excess]
    why += filter(None, (not_ours(fitness, row.quantile, row.excess, row.name) for row in missed))
    gone = _state.master.gone if _state.master is not None else {}
    return Result(
        run=run,
        scenario=Path(str(environment.locustfile or "")).name,
        users=_state.users,
        processes=len(_state.master.nodes) if _state.master is not None else 1,
        ended=time.time(),
        board=board,
        fitness=fitness,
        rows=rows,
        outcome=outcome(rows, why),
        problems=why,
        doubt=doubt(fitness, p99),
        lost=[Lost(name, node.untold) for name, node in sorted(gone.items())],
    )


def _tell_progress() -> None:
    began = last = time.monotonic()
    before = 0
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        board = _board()
        now = time.monotonic()
        rows = judge(board, current_run().objectives)
        sys.stderr.write(progress(now - began, board, before, now - last, rows) + "\n")
        before, last = board.total, now


def _stop_when_lost(environment: Environment, planned: int) -> None:
    """End the run when no more good answers could make the objectives hold."""
    while True:
        gevent.sleep(_LOST_SECONDS)
        board = _board()
        if lost(board, current_run().objectives, planned):
            sys.stderr.write("jwtdrill: the objectives cannot hold any more: the run ends here\n")
            if environment.runner is not None:
                gevent.spawn(environment.runner.quit)
            return
