"""Starts processes in a folder of their own, waits until they are ready, and ends them all.

Each child gets a death signal: when this process is gone for whatever reason, even kill -9, the kernel kills it.
Children must therefore be started from the main thread (prctl(2): the signal comes when the starting *thread* ends).
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx

from jwtdrill.errors import MissingPartError
from jwtdrill.processes.pidfiles import write_pid

_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_MOST_RESTARTS = 5  # of one process within _RESTART_SECONDS; one that needs more is beyond help
_RESTART_SECONDS = 60.0
_UNPRIVILEGED = 1024
_PORTS = 12_000
_TRIES = 50
_DICE = random.SystemRandom()
_claims: list[int] = []  # on ports that were given, until we end


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, and that this process was not given before.

    Below those that the system gives to outgoing connections: one of these could take it before we do, or while a fault
    keeps it closed. Other processes of ours do not take it either, as long as this one lives.
    """
    lowest = _lowest_outgoing()
    choices = range(max(_UNPRIVILEGED, lowest - _PORTS), lowest)
    tries = _DICE.sample(choices, min(_TRIES, len(choices)))
    for port in (*tries, 0):  # 0: whichever the system gives
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            _claims.append(_claim(found).detach())
            return found
    raise MissingPartError("no port on 127.0.0.1 is free")


def _claim(port: int) -> socket.socket:
    """A mark that the kernel keeps until we are gone, in a name space of its own: no file stays. Raises OSError.

    Of eleven ports drawn from 12,000, in one lab of two hundred two would be the same, and in one pair of a hundred.
    """
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0jwtdrill-port-{port}")
    except OSError:
        mark.close()
        raise
    return mark


def _lowest_outgoing() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def port_in_use(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on that port of this machine."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, port)) == 0


@dataclass(frozen=True, slots=True)
class Spec:
    """A process to start. `ready`: a URL that answers 200, or a function that says so; `wait`: seconds for it.

    restart: whether `revive` starts it again when it has ended by itself.
    """

    name: str
    argv: Sequence[str | Path]
    ready: str | Callable[[], bool] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    wait: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stdin: int = subprocess.DEVNULL
    restart: bool = False


def launch(
    argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    """Start a process that the kernel kills when we are gone. Only from the main thread, see above."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own argv
            ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)],  # noqa: S607
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # the terminal's Ctrl-C is for us; we end them in order
        )


class Supervisor:
    """The processes of one job; logs lie in `folder`/logs, pid files in `folder`/pids. Use it in a `with` statement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, tuple[Spec, subprocess.Popen[bytes]]] = {}
        self._restarts: Counter[str] = Counter()
        self._restarted: dict[str, deque[float]] = {}  # when the last ones were, monotonic seconds

    def start(self, *specs: Spec) -> None:
        """Start these at once and return when all are ready. Raises MissingPartError with the end of the log."""
        for spec in specs:
            self._launch(spec)
        for spec in specs:
            self._wait_ready(spec, self._running[spec.name][1])

    def revive(self) -> list[str]:
        """Start those again that ended by themselves and are to be; returns their names. Does not wait for them."""
        ended = [name for name, (spec, process) in self._running.items() if spec.restart and process.poll() is not None]
        revived = [name for name in ended if self._may_restart(name)]
        for name in revived:
            self._restarts[name] += 1
            self._restarted.setdefault(name, deque(maxlen=_MOST_RESTARTS)).append(time.monotonic())
            self._launch(self._running[name][0])
        return revived

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was started again; without those that never were."""
        return dict(self._restarts)

    def stop(self, *names: str) -> None:
        """End these, or all, the last started first: signal, then after five seconds SIGKILL. Never raises."""
        wanted = [name for name in reversed(self._running) if not names or name in names]
        for name in wanted:
            spec, process = self._running[name]
            if process.poll() is None:
                process.send_signal(spec.stop_signal)
        for name in wanted:
            _, process = self._running.pop(name)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.pid_file(name).unlink(missing_ok=True)

    def pid_file(self, name: str) -> Path:
        """Where the pid of that process is written each time it is started."""
        return self.folder / "pids" / f"{name}.pid"

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The running process of that name."""
        return self._running[name][1]

    def dead(self) -> list[str]:
        """Names of those that ended without being asked to, and that will not be started again."""
        ended = [name for name, (_, process) in self._running.items() if process.poll() is not None]
        return [name for name in ended if not (self._running[name][0].restart and self._may_restart(name))]

    def log(self, name: str, lines: int = 5) -> str:
        """The end of a process's log."""
        try:
            text = (self.folder / "logs" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        return " | ".join(line.strip() for line in text.splitlines()[-lines:])

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, spec: Spec) -> None:
        process = launch(spec.argv, self.folder / "logs" / f"{spec.name}.log", spec.env, spec.stdin)
        self._running[spec.name] = (spec, process)
        write_pid(self.pid_file(spec.name), process.pid)

    def _may_restart(self, name: str) -> bool:
        """Whether it was not restarted too often within a minute, ever."""
        times = self._restarted.get(name, deque())
        return len(times) < _MOST_RESTARTS or times[-1] - times[0] > _RESTART_SECONDS

    def _wait_ready(self, spec: Spec, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + spec.wait
        while process.poll() is None:
            if spec.ready is None or _is_ready(spec.ready):
                return
            if time.monotonic() > deadline:
                raise MissingPartError(f"{spec.name} was not ready within {spec.wait:g} s: {self.log(spec.name)}")
            time.sleep(_POLL_SECONDS)
        raise MissingPartError(f"{spec.name} ended with status {process.returncode}: {self.log(spec.name)}")


def _is_ready(ready: str | Callable[[], bool]) -> bool:
    if callable(ready):
        return ready()
    try:
        return httpx.get(ready, timeout=1).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
