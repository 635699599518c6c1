"""The journal: lines are only added, whole ones, by however many processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jwtdrill.faults.journal import Journal, actor, default_journal

WRITER = """
import sys
from pathlib import Path
from jwtdrill.faults.journal import Journal
journal = Journal(Path(sys.argv[1]), "here")
for number in range(300):
    journal.note("begin", by=sys.argv[2], number=number, padding="x" * 5000)
"""


def test_lines_of_two_processes_do_not_mix_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "below" / "journal.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in ("a", "b")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name in ("a", "b"):
        assert [line["number"] for line in lines if line["actor"] == name] == list(range(300))
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("from before\n")
    Journal(path, "here").note("stop", by="somebody")
    first, second = path.read_text().splitlines()
    assert first == "from before"
    line = json.loads(second)
    assert (line["actor"], line["target"], line["action"]) == ("somebody", "here", "stop")


def test_it_lies_where_the_environment_says_or_with_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_JOURNAL", "/x/j.jsonl")
    assert default_journal() == Path("/x/j.jsonl")
    monkeypatch.delenv("JWTDRILL_JOURNAL")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_journal() == Path("/state/jwtdrill/journal.jsonl")


def test_whoever_acts_can_be_named_in_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "jörg")
    assert actor().startswith("j?rg@")
    assert actor().isascii()
