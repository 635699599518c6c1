"""The key set lacks its oldest key: the old one is gone before the tokens that it signed."""

from typing import Any

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault, by_age
from jwtdrill.faults.route import Route


@dataclass
class MissingOldestKey(DocumentFault):
    """All others are there; of a set with one key none."""

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:
        """All but the oldest."""
        return [key for key in keys if key.get("kid") not in by_age(keys, route)[:1]]
