"""Printing: results to stdout, progress and messages to stderr, colour only on a terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH = 140  # columns of a table that goes to no terminal

progress = Console(stderr=True, highlight=False, soft_wrap=True)


def leave_quietly() -> NoReturn:
    """End well although nobody reads on; what is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def fail(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"jwtdrill: {message}\n")


def say(text: str) -> None:
    """One line of progress."""
    progress.print(text, markup=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout."""
    made = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        made.add_column(column, no_wrap=place == 0)  # what a row is of can be read, and searched for
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))  # plain: [[signer]] is no markup
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(made)


def as_json(content: Any) -> None:
    """JSON on stdout."""
    sys.stdout.write(f"{json.dumps(content, indent=2)}\n")


@contextmanager
def live() -> Iterator[Callable[[str], None]]:
    """A last line on the terminal that says how things stand; nothing where there is no terminal."""
    if not progress.is_terminal:
        yield lambda _: None
        return
    with progress.status("") as status:
        yield lambda text: status.update(Text(text))
