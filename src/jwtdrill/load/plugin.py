"""Hooks into Locust: our options, one run for all users, exact totals over workers, verdict and exit code.

Workers send their whole scoreboard with each report and once more when their last user has stopped; the master keeps
the newest of each and waits for the last ones. Nothing is ever added twice or lost with the last seconds.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.event import EventHook
from locust.runners import STATE_MISSING, MasterRunner, Runner, WorkerRunner
from rich.console import Console

from jwtdrill.errors import BadInputError, HarnessLimitError, JwtdrillError
from jwtdrill.load.exporter import ScoreboardCollector, serve
from jwtdrill.load.report import summary
from jwtdrill.load.run import Options, Run, check_report_folder, prepare, write_report
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.load.verdict import all_held, judge
from jwtdrill.processes.supervisor import port_in_use

_FINAL = "jwtdrill_final"  # worker to master: the last results
_DRAIN = "jwtdrill_drain"  # master to worker: stop, and send them
_FIELD = "jwtdrill"
_FINAL_SECONDS = 15.0
_DRAIN_SECONDS = 10.0  # for requests in flight when a run ends: longer than their time-out is not needed
_METRICS_PORT = 9646
_WIDTH = 120  # columns of a table that goes to no terminal
_F = TypeVar("_F", bound=Callable[..., None])


@dataclass
class _State:
    run: Run | None = None
    draining: bool = False
    limit: str = ""
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    final: set[str] = field(default_factory=set)
    expected: set[str] = field(default_factory=set)
    close_metrics: Callable[[], None] | None = None
    result: tuple[Scoreboard, int] | None = None


_state = _State()


def current_run() -> Run:
    """The run that the users of this process belong to."""
    assert _state.run is not None, "import jwtdrill.load in the locustfile, and start it with locust"
    return _state.run


def draining() -> bool:
    """Whether the run is ending: what is in flight is answered, nothing new is sent."""
    return _state.draining


def limit_reached(why: str) -> None:
    """The harness, not the target, ends the load: the result will say so."""
    _state.limit = _state.limit or why


def _on(hook: EventHook) -> Callable[[_F], _F]:
    """Listener decorator, typed as Locust's is not."""
    add: Callable[[_F], _F] = hook.add_listener
    return add


@_on(events.init_command_line_parser)
def _add_options(parser: LocustArgumentParser) -> None:
    """Add our options, and check all they name before Locust starts anything. Fires again with each web UI page."""
    add = parser.add_argument
    add(
        "--target",
        default="lab",
        metavar="FILE",
        env_var="JWTDRILL_TARGET",
        include_in_web_ui=False,
        help="target file of the system under test; `lab` is the running lab (default)",
    )
    add("--cases", default="valid", metavar="MIX", help="tokens to send, by weight: valid=9,expired=1")
    add("--throughput", type=float, default=10.0, metavar="N", help="requests/s of each client (default 10)")
    add(
        "--report",
        default="",
        metavar="DIR",
        include_in_web_ui=False,
        help="write run.json there: objectives, tallies, latency, timeline",
    )
    add(
        "--metrics-port",
        type=int,
        default=_METRICS_PORT,
        metavar="PORT",
        include_in_web_ui=False,
        help=f"serve the harness's metrics to Prometheus there (default {_METRICS_PORT}, 0 for none)",
    )
    if _state.run is None and not {"-h", "--help", "-V", "--version", "-l", "--list"} & set(sys.argv):
        given, _ = parser.parse_known_args()
        try:
            _state.run = prepare(_options(given))
            if given.report:
                check_report_folder(Path(given.report))
            # Here, before any worker is forked: an exit later on would leave them behind.
            if given.metrics_port and not given.worker and port_in_use(given.metrics_port):
                raise BadInputError(f"--metrics-port {given.metrics_port} is in use: give another, or 0 for none")
        except JwtdrillError as error:
            parser.exit(error.exit_code, f"jwtdrill: {error}\n")


def _options(given: Any) -> Options:
    return Options(given.target, given.cases, given.throughput, Path(given.report) if given.report else None)


@_on(events.init)
def _init(environment: Environment, runner: Runner, **_: Any) -> None:
    environment.stop_timeout = environment.stop_timeout or _DRAIN_SECONDS
    if isinstance(runner, MasterRunner):
        runner.register_message(_FINAL, lambda msg, **_: _keep(msg.node_id, msg.data, final=True))
    elif isinstance(runner, WorkerRunner):
        # In a greenlet of its own: to stop takes as long as the slowest request in flight.
        runner.register_message(_DRAIN, lambda **_: None if _state.draining else runner.stop(), concurrent=True)
    port = getattr(environment.parsed_options, "metrics_port", 0)
    if port and not isinstance(runner, WorkerRunner):
        _state.close_metrics = serve(ScoreboardCollector(_merged, lambda: runner.user_count), port)
    gevent.sleep(0)  # the loop's clock is as old as our imports: without this a short --run-time is cut shorter


@_on(events.test_start)
def _start(environment: Environment, **_: Any) -> None:
    run = current_run()
    run.board = Scoreboard()
    run.tokens_asked = 0
    run.started = time.time()
    _state.draining, _state.limit = False, ""
    given = environment.parsed_options
    if isinstance(environment.runner, MasterRunner):
        clients = environment.runner.clients
        _state.expected = {client.id for client in clients.ready + clients.spawning + clients.running}
        if given is not None:
            given.jwtdrill_workers = len(_state.expected)  # goes to every worker with the other options
    if given is not None:
        run.share = 1 / max(1, getattr(given, "jwtdrill_workers", 1))
        try:
            run.configure(given.cases, float(given.throughput))  # as edited in the web UI, and sent to workers
        except (JwtdrillError, ValueError) as error:
            sys.stderr.write(f"jwtdrill: {error}\n")
            _state.draining, _state.limit = True, str(error)
    _state.boards.clear()
    _state.final.clear()


@_on(events.test_stopping)
def _stopping(**_: Any) -> None:
    _state.draining = True


@_on(events.report_to_master)
def _report(data: dict[str, Any], **_: Any) -> None:
    data[_FIELD] = _own()


@_on(events.worker_report)
def _take(client_id: str, data: dict[str, Any], **_: Any) -> None:
    _keep(client_id, data.pop(_FIELD, None), final=False)


@_on(events.test_stop)
def _stop(environment: Environment, **_: Any) -> None:
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        runner.send_message(_FINAL, _own())
    elif isinstance(runner, MasterRunner):
        for node in _missing(runner):
            runner.send_message(_DRAIN, None, node)  # Locust itself tells them only after this listener
        deadline = time.monotonic() + _FINAL_SECONDS
        while _missing(runner) and time.monotonic() < deadline:
            gevent.sleep(0.02)


@_on(events.quitting)
def _quitting(environment: Environment, **_: Any) -> None:
    if isinstance(environment.runner, WorkerRunner):
        return
    run, board = current_run(), _merged()
    rows = judge(board, run.objectives)
    held = all_held(rows)
    code = 0 if held else 1
    lost = sorted(_state.expected - _state.final) if isinstance(environment.runner, MasterRunner) else []
    if lost:
        _state.limit = f"{len(lost)} worker(s) ended without their last results"
    if not board.total:
        _state.limit = _state.limit or "nothing was sent"
    if _state.limit:
        code = HarnessLimitError.exit_code
    environment.process_exit_code = code
    _state.result = (board, code)
    if _state.close_metrics is not None:
        _state.close_metrics()
        _state.close_metrics = None
    if run.options.report is not None:
        try:
            write_report(run.options.report, run, board, rows, held=code == 0)
        except JwtdrillError as error:
            sys.stderr.write(f"jwtdrill: {error}\n")
            environment.process_exit_code = error.exit_code


@_on(events.quit)
def _quit(**_: Any) -> None:
    """After Locust's own summary, so that ours is what one sees last."""
    if _state.result is None:
        return
    board, code = _state.result
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for part in summary(board, judge(board, current_run().objectives), code, _state.limit):
        console.print(part)
    _state.result = None


def _own() -> dict[str, Any]:
    """This process's results, for the wire."""
    run = current_run()
    return {"board": run.board.state(), "limit": _state.limit}


def _keep(node: str, data: dict[str, Any] | None, *, final: bool) -> None:
    if not data:
        return
    _state.boards[node] = data["board"]
    _state.limit = _state.limit or data["limit"]
    if final:
        _state.final.add(node)


def _missing(runner: MasterRunner) -> set[str]:
    alive = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
    return (_state.expected & alive) - _state.final


def _merged() -> Scoreboard:
    """The results of all processes."""
    if not _state.boards:
        return current_run().board
    board = Scoreboard()
    for state in list(_state.boards.values()):
        board.merge(state)
    return board
