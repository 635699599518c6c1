"""Starts and stops labs from another process: the one that stays, and the one that a game day owns."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from jwtdrill.errors import BadInputError, JwtdrillError, MissingPartError
from jwtdrill.lab.daemon import RENEW_WATCH, DaemonOptions, LabState, state_file
from jwtdrill.lab.lab import LabOptions
from jwtdrill.processes.supervisor import same_process
from jwtdrill.target.load import lab_folder

_DOWN_SECONDS = 20.0
Say = Callable[[str], None]


class TiedLab:
    """A lab that ends with this process, however it ends."""

    def __init__(self, process: subprocess.Popen[str], target: Path) -> None:
        self._process = process
        self.target = target

    def renew_watch(self) -> None:
        """A fresh Prometheus and Alertmanager. Raises MissingPartError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{RENEW_WATCH}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise MissingPartError("the lab has ended: see whether something killed it") from None
        _await_answer(self._process, lambda _: None)


@contextmanager
def tied_lab(options: LabOptions, say: Say) -> Iterator[TiedLab]:
    """A lab for as long as the `with` statement, or until this process is gone. Raises MissingPartError."""
    folder = Path(tempfile.mkdtemp(prefix="jwtdrill-gameday-"))
    process = _start_daemon(DaemonOptions(str(folder), options, tied=True))
    try:
        yield TiedLab(process, Path(_await_answer(process, say)["target"]))
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def lab_up(options: LabOptions, say: Say) -> Path:
    """Start the lab that stays; returns its target file. Raises BadInputError when one runs already."""
    folder = lab_folder()
    if lab_state() is not None:
        raise BadInputError("a lab is running already: see `jwtdrill lab status`, end it with `jwtdrill lab down`")
    shutil.rmtree(folder, ignore_errors=True)  # what a killed lab left behind
    folder.mkdir(mode=0o700, parents=True)
    process = _start_daemon(DaemonOptions(str(folder), options, tied=False))
    try:
        target = Path(_await_answer(process, say)["target"])
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()
    process.returncode = 0  # it stays: nobody is to be warned of a child that runs on
    return target


def lab_down() -> bool:
    """End the lab that stays, with every fault in it undone; False when none ran. Raises JwtdrillError."""
    state = lab_state()
    folder = lab_folder()
    if state is None:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while same_process(state.pid, state.started):
        if time.monotonic() > deadline:
            raise JwtdrillError(f"the lab (pid {state.pid}) did not end within {_DOWN_SECONDS:g} s")
        time.sleep(0.05)
    return True


def lab_state() -> LabState | None:
    """The lab that stays, None when there is none or what the file says no longer runs."""
    try:
        state = TypeAdapter(LabState).validate_json(state_file(lab_folder()).read_bytes())
    except (OSError, ValidationError):
        return None
    return state if same_process(state.pid, state.started) else None


def _start_daemon(options: DaemonOptions) -> subprocess.Popen[str]:
    text = TypeAdapter(DaemonOptions).dump_json(options).decode()
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "jwtdrill.lab.daemon", text],
        stdin=subprocess.PIPE if options.tied else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # the terminal's Ctrl-C is for us, who then end it in order
        text=True,
    )


def _await_answer(process: subprocess.Popen[str], say: Say) -> dict[str, str]:
    assert process.stdout is not None
    for line in process.stdout:
        answer: dict[str, str] = json.loads(line)
        if "progress" in answer:
            say(f"lab: {answer['progress']}")
        elif "error" in answer:
            raise MissingPartError(answer["error"])
        else:
            return answer
    raise MissingPartError("the lab ended before it was up: run `jwtdrill lab up` to see why")
