"""Keys go from published to active to retired to removed; a removed one can come back, a revoked one cannot."""

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
    ring.mend()
    assert ring.revoked() == [old, removed]


def test_every_step_is_told(keys: dict[Algorithm, SigningKey]) -> None:
    told: list[int] = []
    ring = Keyring(keys[Algorithm.ES256], changed=lambda: told.append(1))
    ring.activate(ring.publish())
    assert len(told) == 2


def test_a_key_that_signs_can_stand_outside_the_set_and_another_beside_it(ring: Keyring) -> None:
    old = ring.active.kid
    hidden = ring.generate()
    assert published(ring) == [old]
    ring.alternate(hidden)
    assert [key.kid for key in ring.signers] == [old, hidden]
    assert states(ring) == [KeyState.ACTIVE, KeyState.ACTIVE]
    ring.disable(old)
    assert published(ring) == []
    new = ring.publish()
    ring.activate(new)
    assert (ring.active.kid, published(ring)) == (new, [new])
    assert states(ring) == [KeyState.REMOVED, KeyState.REMOVED, KeyState.ACTIVE]  # retired would be in the set


def test_mending_goes_back_to_the_key_that_signed_last_of_the_first_algorithm(ring: Keyring) -> None:
    ring.activate(ring.publish())
    last = ring.active.kid
    ring.activate(ring.publish(Algorithm.EDDSA))
    ring.mend()
    assert ring.active.kid == last
    assert states(ring) == [KeyState.RETIRED, KeyState.ACTIVE, KeyState.RETIRED]


def test_mending_makes_a_key_when_the_only_one_was_stolen(ring: Keyring) -> None:
    stolen = ring.active.kid
    ring.compromise(stolen)
    ring.mend()
    assert ring.revoked() == [stolen]
    assert published(ring) == [ring.active.kid] != [stolen]


def test_only_so_many_keys_are_held_and_never_is_one_forgotten_that_signs(ring: Keyring) -> None:
    first = ring.active.kid
    for _ in range(40):
        ring.publish()
    assert len(ring.held()) == 16
    assert ring.active.kid == first
    assert first in published(ring)
