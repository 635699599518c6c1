"""What a fault is, and what it may touch.

A fault is a pydantic dataclass whose fields are its parameters, and lives for one lease. `undo` may be called twice,
also after an `apply` that failed half-way, and raises when it did not work, so that it is tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from jwtdrill.errors import BadInputError
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.proxy import Route


@dataclass(frozen=True, slots=True)
class Site:
    """All that an agent can reach: proxied routes and clock files by name, the issuer's admin interface."""

    routes: Mapping[str, Route]
    clocks: Mapping[str, Path]
    issuer: IssuerAdmin | None

    def route(self, name: str) -> Route:
        """The proxied route of that name. Raises BadInputError."""
        if name not in self.routes:
            raise BadInputError(f"nothing is proxied as {name!r}: this agent has {', '.join(self.routes) or 'nothing'}")
        return self.routes[name]


class Fault(Protocol):
    """One injectable condition. `blast_radius` and `after_effect` say in words who suffers and for how long after."""

    blast_radius: ClassVar[str]
    after_effect: ClassVar[str]

    def check(self, site: Site, name: str) -> None:
        """The dry run: touch nothing. Raises BadInputError when the site has nothing to break so."""
        ...

    async def apply(self, site: Site, name: str) -> None:
        """Put the fault called `name` in force."""
        ...

    async def undo(self, site: Site, name: str) -> None:
        """Take back whatever `apply` did."""
        ...
