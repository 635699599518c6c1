"""The endpoint goes on serving what it served when the fault began."""

import time
from dataclasses import field, replace
from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.http.base import UNTIL_FETCHED, HttpFault, own_path
from jwtdrill.faults.route import Answer, Exchange, Route

_KEPT = (b"content-type", b"cache-control")


@dataclass
class Stale(HttpFault):
    """`path`: of the document that is frozen, the route's own by default.

    says_age: whether it tells how old it is, as a cache must (RFC 9111 section 5.1); else it is like a replica left
    behind, which no verifier can tell from a good one.
    """

    path: str | None = None
    says_age: bool = True
    _taken: float = field(default=0.0, init=False, repr=False)
    _snapshot: Answer | None = field(default=None, init=False, repr=False)

    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED

    def check(self, site: Site) -> None:
        """Raises BadInputError when nothing is proxied there, or the path must be said."""
        own_path(site.route(self.route), self.path, "stale")

    async def prepare(self, route: Route) -> None:
        """Take the snapshot. Raises MissingPartError when there is nothing to take."""
        path = own_path(route, self.path, "stale")
        response = await route.client.get(route.upstream + path)
        if not response.is_success:
            raise MissingPartError(f"no snapshot of {path}: the upstream answers {response.status_code}")
        kept = [(name.lower(), value) for name, value in response.headers.raw if name.lower() in _KEPT]
        self._snapshot = Answer(200, kept, response.content)
        self._taken = time.monotonic()

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The snapshot."""
        if self._snapshot is None or not self.says_age:
            return self._snapshot
        age = str(int(time.monotonic() - self._taken)).encode()
        return replace(self._snapshot, headers=[*self._snapshot.headers, (b"age", age)])
