"""Starts and stops labs from another process: the one that stays, and the one that a game day owns."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import psutil
from pydantic import TypeAdapter, ValidationError

from jwtdrill.errors import BadInputError, JwtdrillError, MissingPartError
from jwtdrill.lab.daemon import RENEW_WATCH, DaemonOptions, LabState, state_file
from jwtdrill.lab.lab import LabOptions
from jwtdrill.lab.parts import Part
from jwtdrill.processes.pidfiles import same_process
from jwtdrill.target.load import lab_folder, require_own_folder

_DOWN_SECONDS = 20.0
_MARKER = ".jwtdrill-lab"  # in every folder that a lab made, and that may therefore be removed
_RUNNING = "a lab is running already, or starting: see `jwtdrill lab status`, end it with `jwtdrill lab down`"
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Starter:
    """The process that made a lab's folder: while it lives, the lab is being started."""

    pid: int
    started: float

    @classmethod
    def this_process(cls) -> "_Starter":
        """Ourselves."""
        return cls(os.getpid(), psutil.Process().create_time())


class TiedLab:
    """A lab that ends with this process, however it ends."""

    def __init__(self, daemon: "_Daemon", target: Path) -> None:
        self._daemon = daemon
        self.target = target

    def renew_watch(self) -> None:
        """A fresh Prometheus and Alertmanager. Raises MissingPartError."""
        stdin = self._daemon.process.stdin
        assert stdin is not None
        try:
            stdin.write(f"{RENEW_WATCH}\n")
            stdin.flush()
        except BrokenPipeError:
            raise MissingPartError("the lab has ended: see whether something killed it") from None
        self._daemon.answer(lambda _: None)


@contextmanager
def tied_lab(options: LabOptions, say: Say) -> Iterator[TiedLab]:
    """A lab for as long as the `with` statement, or until this process is gone. Raises MissingPartError."""
    folder = Path(tempfile.mkdtemp(prefix="jwtdrill-gameday-"))
    daemon = _Daemon(DaemonOptions(str(folder), options, tied=True))
    try:
        yield TiedLab(daemon, Path(daemon.answer(say)["target"]))
    finally:
        assert daemon.process.stdin is not None
        daemon.process.stdin.close()
        daemon.process.wait()
        daemon.close()
        shutil.rmtree(folder, ignore_errors=True)


class LabInTurn:
    """Labs that differ in their parts alone, one at a time. Use it in a `with` statement."""

    def __init__(self, options: LabOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._stack = ExitStack()
        self._lab: TiedLab | None = None
        self._parts: tuple[Part, ...] = ()

    def with_parts(self, parts: tuple[Part, ...]) -> Path:
        """The target file of one with these parts, on a watch without memory. Raises MissingPartError."""
        if self._lab is not None and self._parts == parts:
            if self._options.watch:
                self._lab.renew_watch()
            return self._lab.target
        self._stack.close()
        self._lab = self._stack.enter_context(tied_lab(replace(self._options, parts=parts), self._say))
        self._parts = parts
        return self._lab.target

    def __enter__(self) -> "LabInTurn":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def lab_up(options: LabOptions, say: Say) -> Path:
    """Start the lab that stays; returns its target file. Raises BadInputError when one runs already."""
    folder = lab_folder()
    if lab_state() is not None:
        raise BadInputError(_RUNNING)
    _clear(folder)  # what a killed lab left behind
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        (fresh / _MARKER).write_bytes(TypeAdapter(_Starter).dump_json(_Starter.this_process()))
    except OSError as error:
        raise BadInputError(f"{folder}: the lab's folder cannot be made: {error.strerror}") from None
    try:
        fresh.rename(folder)  # with its mark from the first moment: of two that start at once, one alone can
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise BadInputError(_RUNNING) from None
        raise BadInputError(f"{folder}: the lab's folder cannot be made: {error.strerror}") from None
    try:
        daemon = _Daemon(DaemonOptions(str(folder), options, tied=False))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        target = Path(daemon.answer(say)["target"])
    except BaseException:
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait()
        shutil.rmtree(folder, ignore_errors=True)  # it may not have come so far as to own it
        raise
    finally:
        daemon.close()
    daemon.process.returncode = 0  # it stays: nobody is to be warned of a child that runs on
    return target


def lab_down() -> bool:
    """End the lab that stays, with every fault in it undone; False when none ran. Raises JwtdrillError."""
    state = lab_state()
    folder = lab_folder()
    if state is None:
        _clear(folder)
        return False
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while same_process(state.pid, state.started):
        if time.monotonic() > deadline:
            raise JwtdrillError(f"the lab (pid {state.pid}) did not end within {_DOWN_SECONDS:g} s")
        time.sleep(0.05)
    return True


def lab_state() -> LabState | None:
    """The lab that stays, None when there is none or what the file says no longer runs.

    Raises BadInputError for a folder that somebody else could have put there: it could name any process of ours.
    """
    if os.path.lexists(lab_folder()):
        require_own_folder(lab_folder())
    try:
        state = TypeAdapter(LabState).validate_json(state_file(lab_folder()).read_bytes())
    except (OSError, ValidationError):
        return None
    return state if same_process(state.pid, state.started) else None


def _clear(folder: Path) -> None:
    """Remove what a lab left behind, and nothing that is not a lab's.

    Raises BadInputError for a folder without our mark, or one in which a lab is just being started.
    """
    if not os.path.lexists(folder):
        return
    require_own_folder(folder)
    try:
        starter = TypeAdapter(_Starter).validate_json((folder / _MARKER).read_bytes())
    except (OSError, ValidationError):
        if not any(folder.iterdir()):
            folder.rmdir()
            return
        raise BadInputError(f"{folder}: is no lab's folder, so it is left alone: set JWTDRILL_LAB to another") from None
    if same_process(starter.pid, starter.started):
        raise BadInputError(_RUNNING)
    shutil.rmtree(folder, ignore_errors=True)


class _Daemon:
    """The process that owns a lab, and what it says."""

    def __init__(self, options: DaemonOptions) -> None:
        text = TypeAdapter(DaemonOptions).dump_json(options).decode()
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "jwtdrill.lab.daemon", text],
            stdin=subprocess.PIPE if options.tied else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,  # the terminal's Ctrl-C is for us, who then end it in order
            text=True,
        )

    def answer(self, say: Say) -> dict[str, str]:
        """Its next answer; progress is passed on. Raises MissingPartError for what it could not do."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer: dict[str, str] = json.loads(line)
            if "progress" in answer:
                say(f"lab: {answer['progress']}")
            elif "error" in answer:
                raise MissingPartError(answer["error"])
            else:
                return answer
        self._complaints.seek(0)
        last = (self._complaints.read().strip().splitlines() or ["it did not say why"])[-1]
        raise MissingPartError(f"the lab ended by itself: {last}")

    def close(self) -> None:
        """Let go of its pipes; the process may stay."""
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._complaints.close()
