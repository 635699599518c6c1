"""Runs drills for the proof: each in a process and on a lab of its own, several side by side.

So none sees anything of another: neither its alerts' windows nor what it left in caches.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jwtdrill.drill.experiment import Experiment
from jwtdrill.drill.proof import Proved, proved
from jwtdrill.errors import JwtdrillError
from jwtdrill.load.verdict import Outcome
from jwtdrill.processes.supervisor import launch

_POLL_SECONDS = 0.2
_LIMIT_SECONDS = 600.0  # that one drill may take, lab and all
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """How to run them. jobs: side by side; runs: of each; more: further arguments for `jwtdrill gameday`.

    once_more: outcomes of those that are run once more, alone.
    """

    out: Path
    jobs: int = 2
    runs: int = 1
    more: Sequence[str] = ()
    once_more: tuple[Outcome, ...] = (Outcome.INVALID,)


@dataclass(slots=True)
class _Run:
    experiment: Experiment
    folder: Path
    again: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    began: float = field(default_factory=time.monotonic)


def prove(files: Sequence[tuple[Experiment, str]], order: Order, say: Say) -> list[Proved]:
    """Run the drills, by what `gameday` is told of each. What counts of one that is run once more is the second run.

    Only from the main thread: what runs ends with us. Raises JwtdrillError for a drill that twice leaves no journal.
    """
    order.out.mkdir(parents=True, exist_ok=True)
    named = {experiment.name: name for experiment, name in files}
    waiting = [
        _Run(experiment, order.out / f"{experiment.name}-{number}")
        for number in range(1, order.runs + 1)
        for experiment, _ in sorted(files, key=lambda one: -one[0].seconds)  # the longest first: none is left alone
    ]
    running: list[_Run] = []
    alone: list[_Run] = []  # run once more, when all others are over
    seen: dict[str, list[dict[str, Any]]] = {experiment.name: [] for experiment, _ in files}
    total, ended = len(waiting), 0
    try:
        while waiting or running or alone:
            if not waiting and not running:
                waiting.append(alone.pop(0))
            while waiting and len(running) < order.jobs:
                run = waiting.pop(0)
                _start(run, named[run.experiment.name], order.more)
                running.append(run)
            time.sleep(_POLL_SECONDS)
            for run in [one for one in running if _over(one)]:
                running.remove(run)
                result = _read(run)
                ended += 1
                say(f"[{ended}/{total}] {run.experiment.name}: {result['outcome']}{_what_failed(result)}")
                if result["outcome"] in order.once_more and not run.again:
                    alone.append(_Run(run.experiment, run.folder.with_name(f"{run.folder.name}-again"), again=True))
                    total += 1
                else:
                    seen[run.experiment.name].append(result)
    finally:
        for run in running:
            if run.process is not None and run.process.poll() is None:
                run.process.terminate()
                run.process.wait()
    return [proved(experiment, seen[experiment.name]) for experiment, _ in files]


def _start(run: _Run, name: str, more: Sequence[str]) -> None:
    argv: list[str | Path] = [sys.executable, "-m", "jwtdrill", "gameday", name, "--out", run.folder, *more]
    run.began = time.monotonic()
    run.process = launch(argv, run.folder.with_suffix(".log"))


def _over(run: _Run) -> bool:
    assert run.process is not None
    if run.process.poll() is not None:
        return True
    if time.monotonic() - run.began > _LIMIT_SECONDS:
        run.process.terminate()
        run.process.wait()
        return True
    return False


def _read(run: _Run) -> dict[str, Any]:
    """What its journal says; a first run that left none says nothing. Raises JwtdrillError for a second one."""
    try:
        content = json.loads((run.folder / "journal.json").read_bytes())
        drill: dict[str, Any] = content["drills"][0]
    except (OSError, ValueError, LookupError):
        log = run.folder.with_suffix(".log")
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        why = " ".join(lines[-1:]) or "nobody knows why"
        if run.again:
            raise JwtdrillError(f"{run.experiment.name}: left no journal: {why} ({log})") from None
        return {"outcome": Outcome.INVALID, "findings": [{"what": "It ran", "met": False, "detail": why}]}
    return drill


def _what_failed(result: dict[str, Any]) -> str:
    failed = [f"{one['what']}: {one['detail']}" for one in result["findings"] if one["met"] is False]
    return f" ({'; '.join(failed)})" if failed else ""
