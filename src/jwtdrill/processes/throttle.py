"""`python -m jwtdrill.processes.throttle PID SHARE NOTES [--stop]`: leaves a process little CPU.

Until its standard input ends: whoever starts it holds the other end, so that closing it or dying takes all back. By a
cgroup (version 2 or 1) where one can be made, else, or with --stop, by stopping and continuing the process. What is
done is noted first, so that `take_back` can undo it even where this very process was killed.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from jwtdrill.processes.pidfiles import same_process

_PERIOD = 0.1  # seconds; the scheduler's own default for quotas too
_ROOT = Path("/sys/fs/cgroup")
_TRIES = 50


@dataclass(frozen=True, slots=True)
class Notes:
    """What was done to whom, by whom. group, home: the cgroup made for it, and the one that it came from."""

    pid: int
    started: float
    guard: int
    guard_started: float
    group: str = ""
    home: str = ""

    @classmethod
    def read(cls, path: Path) -> "Notes | None":
        """None where nothing is noted."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """In one step."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}))
        fresh.replace(path)


def take_back(path: Path) -> None:
    """Give the process all its CPU again, whoever throttled it and whatever became of that one. May be called again.

    Raises OSError for a cgroup that cannot be removed.
    """
    notes = Notes.read(path)
    if notes is None:
        return
    if notes.guard != os.getpid() and same_process(notes.guard, notes.guard_started):
        os.kill(notes.guard, signal.SIGKILL)
        _await_end(notes.guard, notes.guard_started)
    if same_process(notes.pid, notes.started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(notes.pid, signal.SIGCONT)
    if notes.group:
        _leave(Path(notes.group), Path(notes.home))
    path.unlink(missing_ok=True)


def throttle(pid: int, share: float, path: Path, *, stop: bool) -> None:
    """Leave it that share of a CPU until standard input or the process ends. Raises OSError, psutil.NoSuchProcess."""
    started = psutil.Process(pid).create_time()
    victim = os.pidfd_open(pid)
    guard = (os.getpid(), psutil.Process().create_time())
    found = None if stop else _place_for(pid)
    try:
        if found is not None:
            group, home = found
            Notes(pid, started, *guard, str(group), str(home)).write(path)
            if _enter(group, pid, share):
                _tell("cgroup")
                select.select([sys.stdin, victim], [], [])
                return
        Notes(pid, started, *guard).write(path)
        _tell("signals")
        _stop_and_go(victim, share)
    finally:
        take_back(path)


def _stop_and_go(victim: int, share: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        while True:
            signal.pidfd_send_signal(victim, signal.SIGSTOP)
            if select.select([sys.stdin, victim], [], [], _PERIOD * (1 - share))[0]:
                return
            signal.pidfd_send_signal(victim, signal.SIGCONT)
            if select.select([sys.stdin, victim], [], [], _PERIOD * share)[0]:
                return


def _place_for(pid: int) -> tuple[Path, Path] | None:
    """A cgroup to make, and the one that the process is in; None where no controller of CPU can be used."""
    name = f"jwtdrill-{pid}"
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        if "cpu" in controllers.split(","):  # version 1
            home = _ROOT / "cpu" / own.lstrip("/")
            return (home / name, home) if home.is_dir() else None
        if not controllers and (_ROOT / "cgroup.controllers").exists():  # version 2, and nothing beside it
            home = _ROOT / own.lstrip("/")
            parent = home if own == "/" else home.parent  # a group has either processes or groups below it
            with contextlib.suppress(OSError):
                if "cpu" in (parent / "cgroup.subtree_control").read_text().split():
                    return parent / name, home
    return None


def _enter(group: Path, pid: int, share: float) -> bool:
    """Whether the process is in that group now, with its quota."""
    period = round(_PERIOD * 1e6)
    quota = max(1000, round(share * period))
    try:
        group.mkdir(exist_ok=True)
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {period}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(period))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return False
    return True


def _leave(group: Path, home: Path) -> None:
    """Move all out that are in it, and remove it. Raises OSError when that does not work."""
    for _ in range(_TRIES):
        try:
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    (home / "cgroup.procs").write_text(pid)
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # one that just ended may still count
            time.sleep(0.02)
        else:
            return
    group.rmdir()


def _await_end(pid: int, started: float) -> None:
    for _ in range(_TRIES):
        if not same_process(pid, started):
            return
        time.sleep(0.02)


def _tell(how: str) -> None:
    sys.stdout.write(f"{how}\n")
    sys.stdout.flush()


def main() -> None:
    """As the command line says."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    throttle(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), stop="--stop" in sys.argv[4:])


if __name__ == "__main__":
    main()
