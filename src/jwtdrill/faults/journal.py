"""The journal of what was broken: one line of JSON for each action, with time, actor and target; lines are only added.

Whoever finds a system broken can see there whether it was us, also when the drill that began it is gone.
"""

import getpass
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VARIABLE = "JWTDRILL_JOURNAL"
Note = Callable[..., None]


def default_journal() -> Path:
    """Where it lies unless the environment says otherwise."""
    given = os.environ.get(VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(given or f"{state}/jwtdrill/journal.jsonl").expanduser()


def actor() -> str:
    """Who we are: user, host and process, in ASCII, as a header wants it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {os.getpid()}".encode("ascii", "replace").decode()


class Journal:
    """Adds lines to the file at `path`. target: what they are about."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target

    def note(self, action: str, *, by: str | None = None, **more: Any) -> None:
        """Add a line. Raises OSError: what cannot be written down should not be done."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "actor": by or actor(), "target": self._target, "action": action, **more}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One write to a file that is only added to: lines of several processes do not mix.
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, (json.dumps(line, default=str) + "\n").encode())
        finally:
            os.close(handle)
