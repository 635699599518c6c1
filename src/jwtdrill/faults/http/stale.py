"""The endpoint goes on serving what it served when the fault began."""

from dataclasses import field

from pydantic.dataclasses import dataclass

from jwtdrill.errors import MissingPartError
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.proxy import Answer, Exchange, Route


@dataclass
class Stale(HttpFault):
    """`path`: of the document that is frozen."""

    path: str = "/jwks"
    _snapshot: Answer | None = field(default=None, init=False, repr=False)

    async def prepare(self, route: Route) -> None:
        """Take the snapshot. Raises MissingPartError when there is nothing to take."""
        response = await route.client.get(route.upstream.rstrip("/") + self.path)
        if not response.is_success:
            raise MissingPartError(f"no snapshot of {self.path}: the upstream answers {response.status_code}")
        kept = [(n.lower(), v) for n, v in response.headers.raw if n.lower() in (b"content-type", b"cache-control")]
        self._snapshot = Answer(200, kept, response.content)

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The snapshot."""
        return self._snapshot
