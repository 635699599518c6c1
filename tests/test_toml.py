"""A mistake in a file is named with its line."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from jwtdrill.errors import BadInputError
from jwtdrill.toml import line_of, load_toml

TEXT = """\
top = 1

[issuer]
url = "x"   # a comment
deep = { a = 1, b = 2 }

[[client]]
id = "one"

[[client]]
id = "two"
list = [
  1,
  2,
]

[issuer.more]
z = 1
"""


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("top",), 1),
        (("issuer", "url"), 4),
        (("issuer", "deep", "b"), 5),
        (("client", 0, "id"), 8),
        (("client", 1, "id"), 11),
        (("client", 1, "list", 1), 14),
        (("issuer", "more", "z"), 18),
        (("client", 1, "missing"), 10),
        (("client",), 7),
        (("issuer", "missing"), 4),
        (("issuer", "more", "missing"), 17),
        (("missing",), 1),
        ((), 1),
    ],
)
def test_line_of_a_value_or_of_the_table_that_lacks_it(location: tuple[str | int, ...], line: int) -> None:
    assert line_of(TEXT, location) == line


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    b: str = ""


def test_every_mistake_is_listed_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('b = 7\n\nc = "?"\n')
    with pytest.raises(BadInputError) as caught:
        load_toml(path, _Closed)
    message = str(caught.value)
    assert f"{path}:1: b:" in message
    assert f"{path}:3: c: is not known here" in message
    assert "a: is missing" in message


def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1\nb = = 2\n")
    with pytest.raises(BadInputError, match=r"x\.toml:2: not TOML"):
        load_toml(path, _Closed)


def test_what_never_ends_is_named_with_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = 1\n\nx = [\n")
    with pytest.raises(BadInputError, match=r"x\.toml:3: not TOML"):
        load_toml(path, _Closed)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read: No such file"):
        load_toml(tmp_path / "no.toml", _Closed)
