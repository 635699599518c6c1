"""The issuer's signing keys and their states: published, then active, then retired, then removed; or revoked for good.

One key is active and signs. All that are not removed or revoked stand in the key set. What was removed is kept aside,
so that the fault which removed it can be undone; what was revoked never comes back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks


class KeyState(StrEnum):
    """Where a key stands in its life."""

    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"
    REVOKED = "revoked"

    @property
    def in_set(self) -> bool:
        """Whether such a key is published."""
        return self not in (KeyState.REMOVED, KeyState.REVOKED)


@dataclass(slots=True)
class HeldKey:
    """A key, its state, and since when it signs (Unix time, 0 for never)."""

    key: SigningKey
    state: KeyState
    activated: float = 0.0


class KeyringError(ValueError):
    """The step does not fit the key's state."""


class Keyring:
    """The keys of one issuer. `changed` is called after each step."""

    def __init__(
        self,
        first: SigningKey,
        *,
        clock: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._keys = {first.kid: HeldKey(first, KeyState.ACTIVE, clock())}
        self._active = first

    @property
    def active(self) -> SigningKey:
        """The key that signs."""
        return self._active

    def held(self) -> tuple[HeldKey, ...]:
        """All keys, oldest first, those that are out of the set too."""
        return tuple(self._keys.values())

    def document(self) -> dict[str, list[dict[str, str]]]:
        """The JWK set, newest key first."""
        return jwks(h.key for h in reversed(self._keys.values()) if h.state.in_set)

    def publish(self, alg: Algorithm | None = None) -> str:
        """Put a new key into the set; it does not sign yet. Returns its kid."""
        key = SigningKey.generate(alg or self._active.alg)
        self._keys[key.kid] = HeldKey(key, KeyState.PUBLISHED)
        self._changed()
        return key.kid

    def activate(self, kid: str) -> None:
        """Let that key sign; the one that signed is retired. Raises KeyringError unless it is published or retired."""
        held = self._get(kid, KeyState.PUBLISHED, KeyState.RETIRED)
        self._keys[self._active.kid].state = KeyState.RETIRED
        held.state, held.activated = KeyState.ACTIVE, self._clock()
        self._active = held.key
        self._changed()

    def remove(self, kid: str) -> None:
        """Take a key out of the set. Raises KeyringError for the one that signs."""
        self._get(kid, KeyState.PUBLISHED, KeyState.RETIRED).state = KeyState.REMOVED
        self._changed()

    def restore(self, kid: str) -> None:
        """Put a removed key back as retired. Raises KeyringError unless it was removed."""
        self._get(kid, KeyState.REMOVED).state = KeyState.RETIRED
        self._changed()

    def mend(self) -> None:
        """Have what no rotation must leave behind: keys that were removed stand in the set again, as retired."""
        for held in self._keys.values():
            if held.state is KeyState.REMOVED:
                held.state = KeyState.RETIRED
        self._changed()

    def revoke(self, kid: str) -> None:
        """Take a key out of the set for good, for it is compromised. Raises KeyringError for the one that signs."""
        self._get(kid, KeyState.PUBLISHED, KeyState.RETIRED, KeyState.REMOVED).state = KeyState.REVOKED
        self._changed()

    def revoked(self) -> list[str]:
        """The kid of each revoked key."""
        return [kid for kid, held in self._keys.items() if held.state is KeyState.REVOKED]

    def _get(self, kid: str, *states: KeyState) -> HeldKey:
        held = self._keys.get(kid)
        if held is None:
            raise KeyringError(f"no key {kid!r}")
        if held.state not in states:
            raise KeyringError(f"key {kid!r} is {held.state}, not {' or '.join(states)}")
        return held
