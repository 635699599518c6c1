"""No two of the ports that one process asks for are the same, though nobody listens on them yet."""

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
