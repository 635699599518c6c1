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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import httpx
import psutil

from jwtdrill.errors import MissingPartError

_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_UNPRIVILEGED = 1024
_PORTS = 12_000
_TRIES = 50
_DICE = random.SystemRandom()
_given: set[int] = set()  # of eleven drawn from 12,000, in one lab of two hundred two would be the same


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, and that this process was not given before.

    Below those that the system gives to outgoing connections: one of these could take it before we do, or while a fault
    keeps it closed.
    """
    lowest = _lowest_outgoing()
    choices = range(max(_UNPRIVILEGED, lowest - _PORTS), lowest)
    tries = _DICE.sample(choices, min(_TRIES, len(choices)))
    for port in (*(port for port in tries if port not in _given), 0):  # 0: whichever the system gives
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            _given.add(found)
            return found
    raise MissingPartError("no port on 127.0.0.1 is free")


def _lowest_outgoing() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def port_in_use(port: int) -> bool:
    """Whether somebody listens on that loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, slots=True)
class Spec:
    """A process to start. `ready`: a URL that answers 200, or a function that says so; `wait`: seconds for it."""

    name: str
    argv: Sequence[str | Path]
    ready: str | Callable[[], bool] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    wait: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stdin: int = subprocess.DEVNULL


class Supervisor:
    """The processes of one job; logs lie in `folder`/logs. Use it in a `with` statement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, tuple[Spec, subprocess.Popen[bytes]]] = {}

    def start(self, *specs: Spec) -> None:
        """Start these at once and return when all are ready. Raises MissingPartError with the end of the log."""
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        for spec in specs:
            with (logs / f"{spec.name}.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - our own argv
                    ["setpriv", "--pdeathsig", "KILL", "--", *map(str, spec.argv)],  # noqa: S607
                    stdin=spec.stdin,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **spec.env},
                    start_new_session=True,  # the terminal's Ctrl-C is for us; we end them in order
                )
            self._running[spec.name] = (spec, process)
        for spec in specs:
            self._wait_ready(spec, self._running[spec.name][1])

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

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The running process of that name."""
        return self._running[name][1]

    def dead(self) -> list[str]:
        """Names of those that ended without being asked to."""
        return [name for name, (_, process) in self._running.items() if process.poll() is not None]

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

    def _wait_ready(self, spec: Spec, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + spec.wait
        while process.poll() is None:
            if spec.ready is None or _is_ready(spec.ready):
                return
            if time.monotonic() > deadline:
                raise MissingPartError(f"{spec.name} was not ready within {spec.wait:g} s: {self.log(spec.name)}")
            time.sleep(_POLL_SECONDS)
        raise MissingPartError(f"{spec.name} ended with status {process.returncode}: {self.log(spec.name)}")


def same_process(pid: int, started: float) -> bool:
    """Whether that pid is still the process that started then (Unix time): pids are used again."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_ready(ready: str | Callable[[], bool]) -> bool:
    if callable(ready):
        return ready()
    try:
        return httpx.get(ready, timeout=1).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
