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


def check_reference(text: str) -> str:
    """The text, if it is a reference. Raises ValueError, without the text: it may be a secret put here by mistake."""
    scheme, _, rest = text.partition(":")
    if scheme not in _SCHEMES or not rest:
        raise ValueError("must be a reference: env:NAME, file:PATH or command:ARGV, never the value itself")
    return text


Reference = Annotated[str, AfterValidator(check_reference)]


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
            except (ValueError, RuntimeError):  # a NUL in it, a home of nobody
                raise BadInputError(f"{reference}: is no path") from None
        case _:
            try:
                command = shlex.split(rest)
            except ValueError as error:
                raise BadInputError(f"{reference}: is no command: {error}") from None
            return _run(reference, command, folder)


def _run(reference: str, command: list[str], folder: Path) -> bytes:
    if not command:
        raise BadInputError(f"{reference}: names no command")
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command from the user's own file
            command, cwd=folder, capture_output=True, timeout=_COMMAND_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise BadInputError(f"{reference}: the command failed with exit status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise BadInputError(f"{reference}: the command did not end within {_COMMAND_SECONDS} s") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is none"
        raise BadInputError(f"{reference}: the command cannot be run: {reason}") from None
    return done.stdout.strip()
