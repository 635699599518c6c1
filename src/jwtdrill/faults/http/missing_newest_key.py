"""The key set lacks the key that appeared last: a replica or a CDN that lags behind a rotation."""

from typing import Any

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault, by_age
from jwtdrill.faults.route import Route


@dataclass
class MissingNewestKey(DocumentFault):
    """All others are there."""

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:
        """All but the newest."""
        return [key for key in keys if key.get("kid") not in by_age(keys, route)[-1:]]
