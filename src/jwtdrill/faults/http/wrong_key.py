"""Under a kid of the key set stands another key: a mix-up of environments, or a kid that is used again."""

from dataclasses import field
from typing import Any

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault, by_age
from jwtdrill.faults.route import Route
from jwtdrill.tokens.keys import Algorithm, SigningKey


@dataclass
class WrongKey(DocumentFault):
    """`kid`: whose key is another, the newest one's by default."""

    kid: str | None = None
    _others: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict, init=False, repr=False)

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:
        """All, one of them exchanged; always for the same."""
        kid = self.kid or next(iter(by_age(keys, route)[-1:]), None)
        return [self._other(kid, str(key.get("alg"))) if key.get("kid") == kid and kid else key for key in keys]

    def _other(self, kid: str, alg: str) -> dict[str, str]:
        if (kid, alg) not in self._others:
            same = next((one for one in Algorithm if one == alg and not one.symmetric), Algorithm.RS256)
            self._others[kid, alg] = SigningKey.generate(same, kid).public_jwk()
        return self._others[kid, alg]
