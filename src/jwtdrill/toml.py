"""Reads a TOML file into a typed object, and names every mistake with its line."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tomlkit
from pydantic import TypeAdapter, ValidationError
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Table

from jwtdrill.errors import BadInputError

T = TypeVar("T")
_MARK = "jwtdrill-line-mark"


def load_toml(path: Path, into: type[T]) -> T:
    """The file's content as `into`, a pydantic model or a dataclass.

    Raises BadInputError that lists each mistake as `FILE:LINE: KEY: what is wrong`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInputError(f"{path}: cannot be read: {reason}") from None
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+)", place)  # else it is the end of the document
        line = int(found[1]) if found else max(1, text.rstrip().count("\n") + 1)
        raise BadInputError(f"{path}:{line}: not TOML: {what}") from None
    try:
        return TypeAdapter(into).validate_python(content)
    except ValidationError as error:
        mistakes = [
            f"{path}:{line_of(text, mistake['loc'])}: {_say(mistake)}"
            for mistake in error.errors(include_url=False, include_input=False)
        ]
        raise BadInputError("; ".join(mistakes)) from None


def line_of(text: str, location: Sequence[int | str]) -> int:
    """The line, from 1, on which the value at `location` stands, or the nearest table above it.

    A mark takes the place of the value in a copy, whose layout tomlkit keeps, and the copy is searched for it.
    """
    there = list(location)
    while there:
        line = _line_of_existing(text, there)
        if line is not None:
            return line
        there.pop()
    return 1


def _line_of_existing(text: str, location: Sequence[int | str]) -> int | None:
    document = tomlkit.parse(text)
    holder: Any = document
    try:
        for step in location[:-1]:
            holder = holder[step]
        value = holder[location[-1]]
        if isinstance(value, AoT):
            value = value[0]
        if isinstance(value, Table) and not value.is_super_table():
            value.comment(_MARK)  # stands on the line of its header
        elif isinstance(value, Table | OutOfOrderTableProxy):  # in no one place: its first part's is the nearest
            return _line_of_existing(text, [*location, next(iter(value))])
        else:
            holder[location[-1]] = _MARK
        head, found, _ = tomlkit.dumps(document).partition(_MARK)
    except (LookupError, TypeError, AttributeError, StopIteration, TOMLKitError, NotImplementedError):
        return None
    return head.count("\n") + 1 if found else None


def _say(mistake: Any) -> str:
    where = ".".join(str(step) for step in mistake["loc"]) or "file"
    kinds = {
        "missing": "is missing",
        "extra_forbidden": "is not known here",
        "unexpected_keyword_argument": "is not known here",
        "missing_argument": "is missing",
    }
    text = kinds.get(mistake["type"]) or mistake["msg"].removeprefix("Value error, ")
    return f"{where}: {text}"
