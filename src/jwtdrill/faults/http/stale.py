"""The endpoint goes on serving what it served when the fault began."""

import time
from dataclasses import field, replace

from pydantic.dataclasses import dataclass

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.proxy import Answer, Exchange, Route


@dataclass
class Stale(HttpFault):
    """`path`: of the document that is frozen. `says_age`: whether it tells how old it is, as a cache must (RFC 9111
    section 5.1); else it is like a replica that was left behind, which no verifier can tell from a good one.
    """

    path: str = "/jwks"
    says_age: bool = True
    _taken: float = field(default=0.0, init=False, repr=False)
    _snapshot: Answer | None = field(default=None, init=False, repr=False)

    async def prepare(self, route: Route) -> None:
        """Take the snapshot. Raises MissingPartError when there is nothing to take."""
        response = await route.client.get(route.upstream.rstrip("/") + self.path)
        if not response.is_success:
            raise MissingPartError(f"no snapshot of {self.path}: the upstream answers {response.status_code}")
        kept = [(n.lower(), v) for n, v in response.headers.raw if n.lower() in (b"content-type", b"cache-control")]
        self._snapshot = Answer(200, kept, response.content)
        self._taken = time.monotonic()

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The snapshot."""
        if self._snapshot is None or not self.says_age:
            return self._snapshot
        age = str(int(time.monotonic() - self._taken)).encode()
        return replace(self._snapshot, headers=[*self._snapshot.headers, (b"age", age)])
