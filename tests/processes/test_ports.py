"""No two of the ports that one process asks for are the same, though nobody listens on them yet."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from jwtdrill.processes import supervisor


class Loaded:
    """A die that always falls the same."""

    def sample(self, choices: Sequence[int], count: int) -> list[int]:
        return list(choices[-count:])


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_DICE", Loaded())
    ports = [supervisor.free_port() for _ in range(20)]
    assert len(set(ports)) == 20


def test_a_port_that_another_process_of_ours_was_given_is_not_given_again() -> None:
    code = "from jwtdrill.processes import supervisor as s; print(s.free_port(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(OSError, match="in use"):
            supervisor._claim(port)
        other.kill()
        other.wait()
        supervisor._claim(port).close()
