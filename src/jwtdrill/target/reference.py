"""Credentials by reference, never by value: `env:NAME`, `file:PATH`, `command:ARGV`."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from jwtdrill.errors import BadInputError

_SCHEMES = ("env", "file", "command")
_COMMAND_SECONDS = 30


def _check(text: str) -> str:
    scheme, _, rest = text.partition(":")
    if scheme not in _SCHEMES or not rest:
        # The value itself stays out of the message: it may be a secret that was put here by mistake.
        raise ValueError("must be a reference: env:NAME, file:PATH or command:ARGV, never the value itself")
    return text


Reference = Annotated[str, AfterValidator(_check)]


def read_reference(reference: str, folder: Path) -> bytes:
    """What the reference stands for; relative paths start at `folder`. Raises BadInputError without the value."""
    scheme, _, rest = reference.partition(":")
    match scheme:
        case "env":
            value = os.environ.get(rest)
            if not value:
                raise BadInputError(f"{reference}: the environment variable is not set")
            return value.encode()
        case "file":
            try:
                return (folder / Path(rest).expanduser()).read_bytes()
            except OSError as error:
                raise BadInputError(f"{reference}: cannot be read: {error.strerror}") from None
        case _:
            return _run(reference, shlex.split(rest), folder)


def _run(reference: str, command: list[str], folder: Path) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command from the user's own file
            command, cwd=folder, capture_output=True, timeout=_COMMAND_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BadInputError(f"{reference}: the command failed: {type(error).__name__}") from None
    return done.stdout.strip()
