"""Nothing that is worth stealing stands in anything that a run prints or writes: searched byte by byte."""

import re
from pathlib import Path

import pytest
from tests.integration.conftest import Commands

pytestmark = pytest.mark.integration
# A header in base64url and what follows it: tokens, assertions and proofs all begin so.
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")


def marked(lab: Commands) -> dict[str, bytes]:
    """Every secret of the lab, each in a form that would be found."""
    found = {}
    for path in (lab.folder / "keys").iterdir():
        content = path.read_bytes().strip()
        found[path.name] = content.splitlines()[1] if content.startswith(b"-----BEGIN") else content
    assert len(found) >= 6
    return found


def test_no_secret_in_any_output(lab: Commands, tmp_path: Path) -> None:
    report = tmp_path / "report"
    load = ("--headless", "--metrics-port", "0", "--target", lab.target, "-u", "5", "-r", "50", "-t", "3s")
    outputs = [
        lab.run("jwtdrill", "check", lab.target),
        lab.run("jwtdrill", "check", lab.target, "--json"),
        lab.run("jwtdrill", "attack", lab.target, "--json", "--junit", tmp_path / "junit.xml"),
        lab.run("locust", "-f", "loadtests/lifecycle.py", *load, "--report", report, "--loglevel", "DEBUG"),
        lab.run("locust", "-f", "loadtests/possession.py", *load, "--report", tmp_path / "possession.json"),
        lab.run("locust", "-f", "loadtests/abuse.py", *load, "--json", "--report", tmp_path / "abuse.json"),
        lab.run("jwtdrill", "lab", "status", "--json"),
    ]
    texts = {f"output {number}": (done.stdout + done.stderr).encode() for number, done in enumerate(outputs)}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    logs = [path for path in lab.folder.rglob("*.log") if path.is_file()]
    assert len(written) > 5
    texts |= {str(path): path.read_bytes() for path in (*written, *logs)}
    assert sum(map(len, texts.values())) > 50_000
    for place, text in texts.items():
        for name, secret in marked(lab).items():
            assert secret not in text, (place, name)
        assert not TOKEN.search(text), place
