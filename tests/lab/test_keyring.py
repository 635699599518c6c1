"""Keys go from published to active to retired to removed, and a removed one can come back."""

import pytest

from jwtdrill.lab.keyring import Keyring, KeyringError, KeyState
from jwtdrill.tokens.keys import Algorithm, SigningKey


@pytest.fixture
def ring(keys: dict[Algorithm, SigningKey]) -> Keyring:
    return Keyring(keys[Algorithm.ES256])


def states(ring: Keyring) -> list[KeyState]:
    return [held.state for held in ring.held()]


def published(ring: Keyring) -> list[str]:
    return [key["kid"] for key in ring.document()["keys"]]


def test_a_rotation_with_overlap(ring: Keyring) -> None:
    old = ring.active.kid
    new = ring.publish()
    assert (ring.active.kid, published(ring)) == (old, [new, old])
    ring.activate(new)
    assert (ring.active.kid, states(ring)) == (new, [KeyState.RETIRED, KeyState.ACTIVE])
    ring.remove(old)
    assert published(ring) == [new]
    ring.restore(old)
    assert published(ring) == [new, old]


def test_steps_that_do_not_fit_are_refused(ring: Keyring) -> None:
    old = ring.active.kid
    with pytest.raises(KeyringError, match="is active, not published or retired"):
        ring.remove(old)
    with pytest.raises(KeyringError, match="is active, not removed"):
        ring.restore(old)
    with pytest.raises(KeyringError, match="no key 'x'"):
        ring.activate("x")


def test_a_revoked_key_is_out_of_the_set_for_good(ring: Keyring) -> None:
    old, new = ring.active.kid, ring.publish()
    with pytest.raises(KeyringError, match="is active"):
        ring.revoke(old)
    ring.activate(new)
    ring.revoke(old)
    assert (published(ring), ring.revoked(), states(ring)[0]) == ([new], [old], KeyState.REVOKED)
    for step in (ring.restore, ring.activate, ring.remove, ring.revoke):
        with pytest.raises(KeyringError, match="is revoked"):
            step(old)
    removed = ring.publish()
    ring.remove(removed)
    ring.revoke(removed)
    assert ring.revoked() == [old, removed]


def test_every_step_is_told(keys: dict[Algorithm, SigningKey]) -> None:
    told: list[int] = []
    ring = Keyring(keys[Algorithm.ES256], changed=lambda: told.append(1))
    ring.activate(ring.publish())
    assert len(told) == 2
