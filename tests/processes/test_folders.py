"""What a process has for itself goes with it, however it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.conftest import until

OWNER = """
import sys, time
from pathlib import Path
from jwtdrill.processes.folders import OwnFolder
file = Path(sys.argv[1])
folder = OwnFolder("jwtdrill-test-", [file, file.with_name("never made")])
(folder.path / "inside").touch()
file.touch()
print(folder.path, flush=True)
sys.stdin.readline()
folder.remove()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_folder_and_the_files_that_belong_to_it_go_with_their_owner(tmp_path: Path, killed: bool) -> None:
    file = tmp_path / "canary.yml"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, os.path.relpath(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    assert (folder / "inside").exists()
    if killed:
        owner.kill()
    owner.communicate("\n")
    until(lambda: not list(tmp_path.iterdir()), 3)
