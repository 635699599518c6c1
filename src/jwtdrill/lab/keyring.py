"""The issuer's signing keys: generated, then published, then active, then retired, then removed; or revoked.

As a rule one key is active and signs, and all stand in the key set that are published, active or retired. A fault may
have it otherwise: two keys that sign in turn, one that signs and is not in the set, one that goes by another's kid.
`mend` takes all of that back. What was removed is kept aside, and can come back; what was revoked cannot.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks

_MOST_KEYS = 16  # held at a time: one more, and the oldest that does not sign is forgotten


class KeyState(StrEnum):
    """Where a key stands in its life."""

    GENERATED = "generated"
    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"
    REVOKED = "revoked"


@dataclass(slots=True, eq=False)
class HeldKey:
    """A key, its state, whether it stands in the set, and since when it signs (Unix time, 0 for never).

    alias: the kid of another key, by which this one goes; stolen: it is known to be, and will have to be revoked.
    """

    own: SigningKey
    state: KeyState
    in_set: bool
    activated: float = 0.0
    alias: str = ""
    stolen: bool = False

    @property
    def key(self) -> SigningKey:
        """As it is published and named in tokens."""
        return replace(self.own, kid=self.alias) if self.alias else self.own


class KeyringError(ValueError):
    """The step does not fit the key's state."""


class Keyring:
    """The keys of one issuer, which go by their own kids. `changed` is called after each step."""

    def __init__(
        self,
        first: SigningKey,
        *,
        clock: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._alg = first.alg
        self._keys = [HeldKey(first, KeyState.ACTIVE, in_set=True, activated=clock())]
        self._signers = self._keys[:]

    @property
    def active(self) -> SigningKey:
        """The key that signs, or the first of several."""
        return self._signers[0].key

    @property
    def signers(self) -> tuple[SigningKey, ...]:
        """The keys that sign in turn."""
        return tuple(held.key for held in self._signers)

    def held(self) -> tuple[HeldKey, ...]:
        """All keys, oldest first, those that are not in the set too."""
        return tuple(self._keys)

    def document(self) -> dict[str, list[dict[str, str]]]:
        """The JWK set, newest key first."""
        return jwks(held.key for held in reversed(self._keys) if held.in_set)

    def revoked(self) -> list[str]:
        """The kids of revoked keys."""
        return [held.own.kid for held in self._keys if held.state is KeyState.REVOKED]

    def generate(self, alg: Algorithm | None = None) -> str:
        """Make a new key that is not in the set. Returns its kid."""
        return self._new(alg, KeyState.GENERATED).own.kid

    def publish(self, alg: Algorithm | None = None) -> str:
        """Make a new key and put it into the set; it does not sign yet. Returns its kid."""
        return self._new(alg, KeyState.PUBLISHED).own.kid

    def activate(self, kid: str) -> None:
        """Let that key alone sign; those that signed are retired. Raises KeyringError for one that cannot."""
        held = self._get(kid, KeyState.GENERATED, KeyState.PUBLISHED, KeyState.RETIRED)
        for signer in self._signers:
            signer.state = KeyState.RETIRED if signer.in_set else KeyState.REMOVED
        self._signers = []
        self._let_sign(held)

    def alternate(self, kid: str) -> None:
        """Let that key sign in turn with the one that does. Raises KeyringError for one that cannot."""
        self._let_sign(self._get(kid, KeyState.GENERATED, KeyState.PUBLISHED, KeyState.RETIRED))

    def remove(self, kid: str) -> None:
        """Take a key out of the set. Raises KeyringError for one that signs."""
        held = self._get(kid, KeyState.PUBLISHED, KeyState.RETIRED)
        held.state, held.in_set = KeyState.REMOVED, False
        self._changed()

    def disable(self, kid: str) -> None:
        """Take the key that signs out of the set, and sign on with it. Raises KeyringError for any other."""
        self._get(kid, KeyState.ACTIVE).in_set = False
        self._changed()

    def restore(self, kid: str) -> None:
        """Put a removed key back as retired. Raises KeyringError unless it was removed."""
        held = self._get(kid, KeyState.REMOVED)
        held.state, held.in_set = KeyState.RETIRED, True
        self._changed()

    def reuse_kid(self) -> str:
        """Let a new key sign under the kid of the one that did, which is removed. Returns the kid."""
        old = self._signers[0]
        alias = old.key.kid
        old.state, old.in_set = KeyState.REMOVED, False
        new = self._new(old.own.alg, KeyState.PUBLISHED, alias)
        self._signers = []
        self._let_sign(new)
        return alias

    def compromise(self, kid: str) -> None:
        """Note that somebody has stolen the key. It is good until it is revoked, and is so at the latest by `mend`.

        Raises KeyringError for one that is revoked.
        """
        self._get(kid, *(state for state in KeyState if state is not KeyState.REVOKED)).stolen = True

    def revoke(self, kid: str) -> None:
        """Take a key out of the set for good, and list it as revoked. Raises KeyringError for one that signs."""
        held = self._get(kid, KeyState.PUBLISHED, KeyState.RETIRED, KeyState.REMOVED)
        held.state, held.in_set = KeyState.REVOKED, False
        self._changed()

    def mend(self) -> None:
        """Have what a rotation must leave behind, whatever it was: one key signs, is of the first key's algorithm and
        was not stolen; each goes by its own kid; stolen ones are revoked, all others stand in the set.
        """
        signer = self._sound_signer() or self._new(self._alg, KeyState.PUBLISHED)
        for held in self._keys:
            held.alias = ""
            if held.stolen or held.state is KeyState.REVOKED:
                held.state = KeyState.REVOKED
            elif held is not signer:
                held.state = KeyState.RETIRED if held.activated else KeyState.PUBLISHED
            held.in_set = held.state is not KeyState.REVOKED
        if signer in self._signers:
            self._signers = [signer]
            self._changed()
        else:
            self._signers = []
            self._let_sign(signer)

    def _sound_signer(self) -> HeldKey | None:
        """The key that should sign: that which does, else that which did last."""
        earlier = sorted(self._keys, key=lambda held: held.activated, reverse=True)
        for held in (*self._signers, *earlier):
            revoked = held.stolen or held.state is KeyState.REVOKED
            if held.activated and held.own.alg is self._alg and not revoked:
                return held
        return None

    def _new(self, alg: Algorithm | None, state: KeyState, alias: str = "") -> HeldKey:
        held = HeldKey(
            SigningKey.generate(alg or self.active.alg), state, in_set=state is not KeyState.GENERATED, alias=alias
        )
        self._keys.append(held)
        while len(self._keys) > _MOST_KEYS:
            self._keys.remove(next(key for key in self._keys if key not in self._signers and key is not held))
        self._changed()
        return held

    def _let_sign(self, held: HeldKey) -> None:
        held.state, held.activated = KeyState.ACTIVE, self._clock()
        self._signers = [*self._signers, held]
        self._changed()

    def _get(self, kid: str, *states: KeyState) -> HeldKey:
        held = next((held for held in self._keys if held.own.kid == kid), None)
        if held is None:
            raise KeyringError(f"no key {kid!r}")
        if held.state not in states:
            raise KeyringError(f"key {kid!r} is {held.state}, not {' or '.join(states)}")
        return held
