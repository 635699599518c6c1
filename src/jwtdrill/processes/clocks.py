"""Gives a process a clock that can be moved while it runs, by libfaketime."""

from pathlib import Path

from jwtdrill.processes.programs import require_libfaketime


def movable_clock(path: Path) -> dict[str, str]:
    """The environment for a process whose clock follows that file, which is made with no offset.

    Only the wall clock moves: time-outs count on the monotonic one. The library looks at the file again after one
    to two seconds; with its cache off altogether it would cost nine tenths of the throughput. Its "monotonic fix" is
    for an old C library: on today's it makes timed waits end at once, so that threads which wait for Python's lock
    spin, and answers come hundreds of milliseconds late. `time.sleep` fails in such a process (EINVAL).
    Raises MissingPartError without libfaketime.
    """
    library = require_libfaketime()
    set_offset(path, 0)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(path),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


def set_offset(path: Path, seconds: float) -> None:
    """Move the clock, to the thousandth; the file is replaced in one step, so that nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{round(seconds, 3) + 0.0:+.8g}\n")  # plus nothing: no -0
    fresh.replace(path)
