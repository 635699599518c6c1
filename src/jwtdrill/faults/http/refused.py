"""The endpoint is down: connections are refused."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import Site
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange


@dataclass
class Refused(HttpFault):
    """Where other routes share the listener, or only some requests are concerned, these meet with a reset instead."""

    async def apply(self, site: Site) -> None:
        """Stop listening until undone."""
        await super().apply(site)
        door = site.route(self.route).door
        if door is not None and self._alone(site):
            await door.refuse()

    async def undo(self, site: Site) -> None:
        """Listen again."""
        door = site.route(self.route).door
        if door is not None and self._alone(site):
            await door.open()
        await super().undo(site)

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The connection is dropped."""
        return None

    def _alone(self, site: Site) -> bool:
        door = site.route(self.route).door
        partial = self.share < 1 or self.agents or self.addresses or self.flapping is not None
        return door is not None and not door.shared and not partial
