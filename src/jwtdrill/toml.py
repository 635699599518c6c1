"""Reads a TOML file into a typed object, and names every mistake with its line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tomlkit
from pydantic import TypeAdapter, ValidationError
from tomlkit.exceptions import ParseError, TOMLKitError
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
        content = tomlkit.parse(text).unwrap()
    except ParseError as error:
        raise BadInputError(f"{path}:{error.line}: not TOML: {error}") from None
    except TOMLKitError as error:
        raise BadInputError(f"{path}: not TOML: {error}") from None
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

    A mark takes the place of the value in a copy, and the copy, whose layout tomlkit keeps, is searched for it.
    """
    document = tomlkit.parse(text)
    there: list[int | str] = []
    value: Any = document
    for step in location:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError, TOMLKitError):
            break
        there.append(step)
    if not there:
        return 1
    while isinstance(value, Table | AoT) and len(value):  # a table stands where its first value does
        there.append(0 if isinstance(value, AoT) else next(iter(value)))
        value = value[there[-1]]
    holder: Any = document
    for step in there[:-1]:
        holder = holder[step]
    holder[there[-1]] = _MARK
    return tomlkit.dumps(document).partition(_MARK)[0].count("\n") + 1


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
