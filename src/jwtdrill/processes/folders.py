"""A folder that goes when we go, also by kill -9, and files elsewhere that go with it."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Reads until the pipe that we hold is closed, by us or by our death; the pause lets our children die first.
_REAPER = 'cat >/dev/null; sleep 1; rm -rf "$0" "$@"'


class OwnFolder:
    """A new folder below the system's temporary one. files: that need not be there yet, and are to go with it."""

    def __init__(self, prefix: str, files: Sequence[Path] = ()) -> None:
        self._files = tuple(path.absolute() for path in files)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._reaper = subprocess.Popen(  # noqa: S603 - our own script
            ["sh", "-c", _REAPER, str(self.path), *map(str, self._files)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def remove(self) -> None:
        """Remove it now."""
        shutil.rmtree(self.path, ignore_errors=True)
        for path in self._files:
            path.unlink(missing_ok=True)
        self._reaper.kill()
        self._reaper.communicate()
