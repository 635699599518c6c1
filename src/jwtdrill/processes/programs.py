"""Finds the programs that come from the system's packages, and says how to get those that are missing."""

import os
import shutil
import sys
from pathlib import Path

from jwtdrill.errors import MissingPartError

# `make` unpacks the packages here when it may not install them.
_UNPACKED = Path(sys.prefix) / "system"

_PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "wrk": "wrk",
}


def find_program(name: str) -> Path | None:
    """The program on PATH, or as unpacked beside this Python."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(_UNPACKED / "usr/bin")]))
    return Path(found) if found else None


def require_program(name: str) -> Path:
    """As `find_program`. Raises MissingPartError with the package to install."""
    found = find_program(name)
    if found is None:
        package = _PACKAGES.get(name, name)
        raise MissingPartError(f"{name} is not installed: run `apt-get install --no-install-recommends {package}`")
    return found


def find_libfaketime() -> Path | None:
    """The library that moves a process's clock, in the build that is safe with threads."""
    places = [Path("/usr/lib"), _UNPACKED / "usr/lib"]
    return next(
        (found for place in places for found in sorted(place.glob("*/faketime/libfaketimeMT.so.1"))),
        None,
    )


def require_libfaketime() -> Path:
    """As `find_libfaketime`. Raises MissingPartError with the package to install."""
    found = find_libfaketime()
    if found is None:
        raise MissingPartError(
            "libfaketime is not installed: run `apt-get install --no-install-recommends libfaketime`"
        )
    return found
