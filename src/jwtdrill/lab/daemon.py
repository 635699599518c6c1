"""`python -m jwtdrill.lab.daemon OPTIONS`: owns one lab's processes until it is told to stop.

Tied to a game day it reads commands from standard input, and the end of that input, which comes also when the game
day is killed with kill -9, ends the lab. Untied it stays until SIGTERM. Either way it removes its folder.
"""

import contextlib
import json
import os
import selectors
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
from pydantic import TypeAdapter

from jwtdrill.errors import JwtdrillError
from jwtdrill.lab.lab import Lab, LabOptions

RENEW_WATCH = "renew-watch"
_CHECK_SECONDS = 0.25


@dataclass(frozen=True)
class DaemonOptions:
    """What a daemon is told on its command line, as JSON."""

    folder: str
    lab: LabOptions
    tied: bool


@dataclass(frozen=True)
class LabState:
    """What the state file says; believed only while pid and start time agree."""

    pid: int
    started: float
    target: str
    dead: tuple[str, ...] = ()  # processes that ended by themselves and stay so
    restarts: dict[str, int] = field(default_factory=dict)  # how often those were started again that come back


def state_file(folder: Path) -> Path:
    """Where a lab in that folder keeps its state."""
    return folder / "state.json"


def main() -> None:
    """Raise the lab, say so on standard output as one line of JSON, and hold it."""
    options = TypeAdapter(DaemonOptions).validate_json(sys.argv[1])
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopping.set()
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    lab = Lab(Path(options.folder), options.lab, say=lambda text: _tell(progress=text))
    try:
        try:
            lab.up()
            _write_state(lab)
        except JwtdrillError as error:
            _tell(error=str(error))
            return
        _tell(target=str(lab.target))
        _hold(lab, tied=options.tied)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # whoever asks twice must not leave half of it behind
        lab.down()


def _hold(lab: Lab, *, tied: bool) -> None:
    with selectors.DefaultSelector() as waiting:
        if tied:
            waiting.register(sys.stdin, selectors.EVENT_READ)
        dead: list[str] = []
        while True:
            if waiting.select(_CHECK_SECONDS) and not _obey(lab):
                return
            revived = lab.revive()  # here, in the main thread: the kernel ends them with the thread that starts them
            if revived or lab.dead() != dead:
                dead = lab.dead()
                _write_state(lab)


def _write_state(lab: Lab) -> None:
    dead = tuple(lab.dead())
    state = LabState(os.getpid(), psutil.Process().create_time(), str(lab.target), dead, lab.restarts())
    path = state_file(lab.folder)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(TypeAdapter(LabState).dump_json(state))
    fresh.replace(path)


def _obey(lab: Lab) -> bool:
    """Carry out what stands on standard input; False when it has ended."""
    text = os.read(sys.stdin.fileno(), 4096).decode()
    if not text:
        return False
    for command in text.split():
        if command == RENEW_WATCH:
            try:
                lab.renew_watch()
                _tell(done=command)
            except JwtdrillError as error:
                _tell(error=str(error))
    return True


def _tell(**what: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked may be gone
        print(json.dumps(what), flush=True)  # noqa: T201 - the protocol with whoever started us


if __name__ == "__main__":
    main()
