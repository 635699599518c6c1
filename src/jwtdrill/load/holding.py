"""Access tokens as a client holds them: used again until near their expiry, and renewed without making a call wait."""

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
import jwt
from gevent.lock import BoundedSemaphore

from jwtdrill.flows.token import Grant
from jwtdrill.tokens.cases import Case, Material
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.tokens.reading import kid_of

_RENEW = (0.6, 0.85)  # share of a token's lifetime after which it is renewed: spread, as in a real fleet
_RETRY = 1.0  # seconds after which an issuer that gave none is asked again
Ask = Callable[[], Grant | None]


class Holding:
    """One access token and its successors."""

    def __init__(self) -> None:
        self._grant: Grant | None = None
        self._forged: dict[tuple[object, ...], str] = {}  # by case and what the resource declares
        self._lock = BoundedSemaphore()
        self._renew_at = self._expires = 0.0
        self.kid = ""

    def token(self, ask: Ask) -> str | None:
        """The token in force; None while the issuer gives none. `ask` gets another, now or beside the caller."""
        now = time.monotonic()
        if self._grant is None or now >= self._expires:
            self._renew(ask)
        elif now >= self._renew_at and not self._lock.locked():
            gevent.spawn(self._renew, ask)
        return self._grant.token if self._grant is not None else None

    def forged(self, case: Case, material: Material) -> str:
        """The token of that case made from the genuine one; made once. Raises NotApplicableError."""
        name = (case.id, material.scope, material.types)
        made = self._forged.get(name)
        if made is None:
            made = self._forged[name] = case.forge(material)
        return made

    def _renew(self, ask: Ask) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._renew_at:
                return  # somebody else has seen to it while we waited
            if now >= self._expires:
                self._grant = None
            self._renew_at = now + _RETRY  # should nothing come of it
            fresh = ask()
            if fresh is None:
                return
            first = self._grant is None
            self._grant, self.kid = fresh, kid_of(fresh.token)
            self._forged.clear()
            # The first renewal comes at any time, so that tokens of all ages are about from the beginning.
            least = 0.0 if first else _RENEW[0]
            now = time.monotonic()
            self._renew_at = now + fresh.lifetime * random.uniform(least, _RENEW[1])  # noqa: S311 - not a secret
            self._expires = now + fresh.lifetime


def like(genuine: str, signer: Minter) -> Callable[[], str]:
    """What mints fresh tokens with the claims of the genuine one, where the target lets us hold the signing key."""
    payload: dict[str, Any] = jwt.decode(genuine, options={"verify_signature": False})
    lifetime = int(payload["exp"]) - int(payload.get("iat", payload["exp"] - 300))

    def mint() -> str:
        now = Claims.lasting(lifetime, now=time.time(), iss="", sub="", aud="")
        fresh = {"iat": now.iat, "nbf": now.nbf, "exp": now.exp, "jti": now.jti}
        return signer.mint_payload(payload | {name: value for name, value in fresh.items() if name in payload})

    return mint
