"""Writes a run's results: run.json for programs, report.html for people, CSV for spreadsheets. Reads run.json again."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwtdrill.errors import BadInputError
from jwtdrill.load.result import Result

RUN_FILE = "run.json"


def check_report(path: Path) -> None:
    """Raises BadInputError when a report could not be written there, before any load."""
    folder = path.parent if path.suffix == ".json" else path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInputError(f"--report {path}: cannot be written: {error.strerror}") from None


def write(path: Path, result: Result) -> None:
    """Write a folder with all files, or the one .json file that was asked for. Raises BadInputError."""
    content = result.to_json()
    text = json.dumps(content, separators=(",", ":"))
    # run.json last, so that who finds it finds the others too
    texts = {path.name: text} if path.suffix == ".json" else _tables_and_page(result, content) | {RUN_FILE: text}
    folder = path.parent if path.suffix == ".json" else path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content_text in texts.items():
            fresh = folder / f".{name}.new"
            fresh.write_text(content_text, encoding="utf-8")
            fresh.replace(folder / name)
    except OSError as error:
        raise BadInputError(f"--report {path}: cannot be written: {error.strerror}") from None


def _tables_and_page(result: Result, content: dict[str, Any]) -> dict[str, str]:
    from jwtdrill.load.page import render_html  # its libraries take a second to import

    return {
        "report.html": render_html(result, content),
        "tallies.csv": _csv(content["tallies"]),
        "latency.csv": _csv(
            {name: value for name, value in entry.items() if name not in ("milliseconds", "hdrhistogram")}
            | {f"{name}_ms": value for name, value in entry["milliseconds"].items()}
            for entry in content["latency"]
        ),
    }


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run that was written down."""

    path: Path
    content: dict[str, Any]


def read_run(path: Path) -> RunFile:
    """Read a run.json, or the one in that folder. Raises BadInputError."""
    file = path / RUN_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInputError(f"{file}: is not JSON: give a folder that a load run wrote with --report") from None
    if not isinstance(content, dict) or not {"jwtdrill", "outcome", "tallies", "blocks"} <= set(content):
        raise BadInputError(f"{file}: is no result of a load run: give a folder that one wrote with --report")
    return RunFile(file, content)


def _csv(records: Iterable[dict[str, Any]]) -> str:
    rows: Sequence[dict[str, Any]] = list(records)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
