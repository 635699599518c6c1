"""The key set is well-formed and empty."""

from typing import Any

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault
from jwtdrill.faults.route import Route


@dataclass
class EmptySet(DocumentFault):
    """No key at all."""

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:  # noqa: ARG002
        """None of them."""
        return []
