"""The endpoint is down: connections are refused."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import Site


@dataclass(frozen=True)
class Refused:
    """No parameters."""

    blast_radius: ClassVar[str] = "everybody who fetches through this route of the proxy"
    after_effect: ClassVar[str] = "until the next fetch: at most the verifiers' back-off after failed fetches"

    def check(self, site: Site, name: str) -> None:
        """Raises BadInputError when nothing is proxied there."""
        site.route(name.partition(".")[0])

    async def apply(self, site: Site, name: str) -> None:
        """Stop listening until undone."""
        await site.route(name.partition(".")[0]).refuse()

    async def undo(self, site: Site, name: str) -> None:
        """Listen again."""
        await site.route(name.partition(".")[0]).open()
