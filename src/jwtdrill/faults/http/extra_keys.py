"""The key set holds keys that nobody signs with."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import DocumentFault
from jwtdrill.faults.route import Route
from jwtdrill.tokens.keys import Algorithm, SigningKey


@dataclass
class ExtraKeys(DocumentFault):
    """`count` of them, before those that are right."""

    count: Annotated[int, Field(gt=0, le=200)] = 20

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:  # noqa: ARG002
        """Strangers, then the keys."""
        return [*(SigningKey.generate(Algorithm.ES256).public_jwk() for _ in range(self.count)), *keys]
