"""What the faults that answer in an endpoint's stead share: they take the route, and give it back."""

from typing import ClassVar

from jwtdrill.faults.fault import Site
from jwtdrill.faults.proxy import Answer, Exchange, Route


class HttpFault:
    """A fault on the route that its name begins with: `jwks.status` is `status` on the route `jwks`."""

    blast_radius: ClassVar[str] = "everybody who fetches through this route of the proxy"
    after_effect: ClassVar[str] = "until the next fetch: at most the verifiers' back-off after failed fetches"

    def check(self, site: Site, name: str) -> None:
        """Raises BadInputError when nothing is proxied there."""
        site.route(name.partition(".")[0])

    async def apply(self, site: Site, name: str) -> None:
        """Answer in the route's stead until undone."""
        route = site.route(name.partition(".")[0])
        await self.prepare(route)
        route.set_fault(self)

    async def undo(self, site: Site, name: str) -> None:
        """Let the route pass through again."""
        site.route(name.partition(".")[0]).clear_fault()

    async def prepare(self, route: Route) -> None:
        """Whatever must be known before the fault begins."""

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The answer to give."""
        raise NotImplementedError
