"""The commands, grouped as in the README: load, break, watch."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated, ParamSpec

import typer
from rich.console import Console

from jwtdrill import __version__
from jwtdrill.cli.output import fail, leave_quietly
from jwtdrill.errors import JwtdrillError

P = ParamSpec("P")
LOAD, BREAK, WATCH = "Load", "Break", "Watch"
INTERRUPTED = 130

app = typer.Typer(
    name="jwtdrill",
    help="Load, break and watch a JWT Bearer system, and learn before production does whether it holds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 it held, 1 it did not, 2 bad input or a missing part, 3 the harness was the limit, "
    "130 interrupted. Load itself is run with `locust -f loadtests/NAME.py --target FILE`.",
)


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """A command: its errors become one line on stderr, what it returns the exit code."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except JwtdrillError as error:
            fail(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            fail("interrupted")
            code = INTERRUPTED
        raise typer.Exit(code or 0)

    return run


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jwtdrill {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as we run
    Console.on_broken_pipe = lambda _: leave_quietly()  # type: ignore[method-assign, assignment] # `--help | head`
    try:
        # Commands register themselves with `app`; to import them here keeps this module free of their dependencies.
        from jwtdrill.cli import attacking, breaking, describing, loading, measuring, watching  # noqa: F401

        app()
        sys.stdout.flush()
    except SystemExit:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # so typer marks a reader who has gone
            leave_quietly()
        raise
    except BrokenPipeError:  # whoever read our output has gone: `jwtdrill catalog | head`
        leave_quietly()
    except OSError as error:
        fail(f"{error.filename or 'output'}: {error.strerror}")
        sys.exit(JwtdrillError.exit_code)
    except KeyboardInterrupt:
        fail("interrupted")
        sys.exit(INTERRUPTED)


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """SIGTERM ends a command as Ctrl-C does: in order."""
    raise KeyboardInterrupt
