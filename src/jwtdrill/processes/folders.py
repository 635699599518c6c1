"""A folder that goes when we go, also by kill -9."""

import shutil
import subprocess
import tempfile
from pathlib import Path

# Reads until the pipe that we hold is closed, by us or by our death; the pause lets our children die first.
_REAPER = 'cat >/dev/null; sleep 1; rm -rf "$0"'


class OwnFolder:
    """A new folder below the system's temporary one."""

    def __init__(self, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        self._reaper = subprocess.Popen(  # noqa: S603 - our own script
            ["sh", "-c", _REAPER, str(self.path)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def remove(self) -> None:
        """Remove it now."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._reaper.kill()
        self._reaper.communicate()
