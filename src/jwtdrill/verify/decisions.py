"""Remembers which tokens were accepted, so that the next use of one costs a hash instead of a signature.

Only acceptances are kept, under a hash of the whole token, and each is checked again at every use against whatever can
have changed since: the clock, the key on hand, revocation. In any doubt it is no use, and the token is verified anew.
"""

import copy
import hashlib
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwtdrill.verify.keyset import TrustedKey


@dataclass(frozen=True, slots=True)
class Decision:
    """An accepted token's claims, its header's kid and alg, the key that fitted, and the times between
    which it stands in Unix seconds."""

    plain: Mapping[str, Any]
    nested: Mapping[str, Any]
    kid: str | None
    alg: str
    fingerprint: str
    expires: float
    not_before: float

    @classmethod
    def of(
        cls,
        claims: Mapping[str, Any],
        *,
        kid: str | None,
        alg: str,
        key: TrustedKey,
        leeway: float,
        until: float = math.inf,
    ) -> "Decision":
        """The decision on verified claims, which stands until their exp or `until`, whichever comes first.

        Claims that a caller could change are kept apart, and copied at each use.
        """
        nested = {name: value for name, value in claims.items() if isinstance(value, dict | list)}
        begins = [float(claims[name]) for name in ("nbf", "iat") if name in claims]
        return cls(
            plain={name: value for name, value in claims.items() if name not in nested},
            nested=copy.deepcopy(nested),
            kid=kid,
            alg=alg,
            fingerprint=key.fingerprint,
            expires=min(float(claims["exp"]) + leeway, until),
            not_before=max(begins, default=0.0) - leeway,
        )

    def in_time(self, now: float) -> bool:
        """Whether the token's time has begun, and neither it nor the decision's is over."""
        return self.not_before <= now < self.expires

    def claims(self) -> dict[str, Any]:
        """The claims, for the caller to keep."""
        claims = dict(self.plain)
        for name, value in self.nested.items():
            claims[name] = copy.deepcopy(value)
        return claims


class DecisionCache:
    """The decisions of one verifier, `size` of them at most: the oldest makes room."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._decisions: dict[bytes, Decision] = {}
        self._lock = threading.Lock()

    def find(self, token: str) -> Decision | None:
        """What was decided on that very token."""
        return self._decisions.get(_digest(token))

    def keep(self, token: str, decision: Decision) -> None:
        """Remember an acceptance."""
        with self._lock:
            while len(self._decisions) >= self._size:
                del self._decisions[next(iter(self._decisions))]
            self._decisions[_digest(token)] = decision

    def drop(self, token: str) -> None:
        """Forget it."""
        with self._lock:
            self._decisions.pop(_digest(token), None)

    def __len__(self) -> int:
        return len(self._decisions)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
