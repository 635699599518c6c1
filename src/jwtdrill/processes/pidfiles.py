"""Which process is meant, by pid file or by pid and start time, for pids are used again."""

from pathlib import Path

import psutil

_UNSURE = 2.0  # seconds: start times count from the boot, which is known to the second


def write_pid(path: Path, pid: int) -> None:
    """Write the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{pid}\n")
    fresh.replace(path)


def process_of(path: Path) -> psutil.Process | None:
    """The process that the file names; None when it runs no more, or the file cannot be read.

    A process that is younger than the file is another one, to which the pid was given since.
    """
    try:
        process = psutil.Process(int(path.read_text().split()[0]))
        written = path.stat().st_mtime
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > written + _UNSURE:
            return None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process


def same_process(pid: int, started: float) -> bool:
    """Whether that pid is still the process that started then (Unix time)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
