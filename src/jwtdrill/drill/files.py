"""Writes a game day's folder: the page, the ticket, the journal, and each drill's raw data; all of it or nothing."""

import csv
import io
import json
import shutil
from pathlib import Path

from jwtdrill.drill.record import Record
from jwtdrill.drill.result import GameDay
from jwtdrill.drill.story import Story, tell
from jwtdrill.errors import BadInputError

JOURNAL, PAGE, TICKET = "journal.json", "report.html", "report.md"
_COLUMNS = (
    "unix_time", "second", "phase", "fault", "flow", "case", "resource", "expected", "verdict", "count",
    "all_latency_mean_ms", "all_latency_max_ms",
)  # fmt: skip


def write(out: Path, day: GameDay) -> None:
    """Write the folder in one step. Raises BadInputError."""
    story = tell(day)
    fresh = _fresh(out)
    try:
        fresh.mkdir(parents=True, exist_ok=True)
        for name, text in contents(story).items():
            (fresh / name).write_text(text, encoding="utf-8")
        fresh.rename(out)
    except OSError as error:
        raise BadInputError(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def contents(story: Story) -> dict[str, str]:
    """File name to content of all that lies in the folder."""
    from jwtdrill.drill.markdown import render_markdown
    from jwtdrill.drill.report import render_html  # its libraries take a second to import

    return {
        JOURNAL: json.dumps(story.to_json(), indent=1),
        PAGE: render_html(story),
        TICKET: render_markdown(story),
        **{seconds_file(drill.slug): seconds_csv(drill.result.record) for drill in story.drills},
    }


def seconds_file(slug: str) -> str:
    """The name of the file with a drill's raw data."""
    return f"{slug}.seconds.csv"


def seconds_csv(record: Record) -> str:
    """What was seen second by second: a line for each tally; the latencies are of all answers of that second.

    second: from the drill's beginning; fault: 1 while one was in force in that second.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for second in record.seconds:
        fault = any(fault.begin < second.at + 1 and second.at < fault.end for fault in record.faults)
        when = (second.at, f"{second.at - record.begin:.1f}", record.phase_at(second.at) or "", int(fault))
        latency = (f"{second.latency_mean * 1e3:.3f}", f"{second.latency_max * 1e3:.3f}")
        for tally, count in sorted(second.counts.items()):
            writer.writerow((*when, *tally, count, *latency))
    return text.getvalue()


def check_out(out: Path) -> None:
    """Raises BadInputError when the folder exists already or could not be made."""
    if out.exists():
        raise BadInputError(f"{out}: exists already: give another folder with --out")
    fresh = _fresh(out)
    try:
        fresh.mkdir(parents=True, exist_ok=True)
        fresh.rmdir()
    except OSError as error:
        raise BadInputError(f"{out}: cannot be made there ({error.strerror}): give another with --out") from None


def _fresh(out: Path) -> Path:
    """Where the folder is made before it gets its name."""
    return out.with_name(f".{out.name}.new")
