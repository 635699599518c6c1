"""One drill at a time holds a target, and whatever becomes of it, nothing of its lock stays."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from tests.integration.conftest import until

from jwtdrill.drill.holding import Holding
from jwtdrill.errors import BadInputError
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

HOLDER = """
import sys, time
from jwtdrill.drill.holding import Holding
from jwtdrill.target.load import load_target
holding = Holding(load_target(sys.argv[1]), "F9", None)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """One that no other test drills."""
    path = tmp_path / "target.toml"
    path.write_text(f'environment = "test"\n[issuer]\nurl = "http://127.0.0.1:1/{uuid.uuid4()}"\n')
    return load_target(str(path))


def free(target: Target) -> bool:
    try:
        Holding(target, "F9", None).close()
    except BadInputError:
        return False
    return True


def test_the_next_drill_waits_until_this_one_is_closed(target: Target) -> None:
    with Holding(target, "F9", None), pytest.raises(BadInputError, match="another drill is under way there"):
        Holding(target, "F10", None)
    assert free(target)


def test_a_killed_drill_holds_nothing_and_leaves_no_file(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(target.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert not free(target)
    holder.kill()
    holder.communicate()
    until(lambda: free(target), 2)
    assert not list((tmp_path / "tmp").iterdir())
