"""The listener shows a certificate that has expired, or that is another host's."""

import datetime
import ssl
import tempfile
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import Site
from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Door
from jwtdrill.tokens.certificates import Certified, issued, self_signed

_DAY = datetime.timedelta(days=1)


@dataclass
class Certificate(HttpFault):
    """All routes of the listener are concerned, for a certificate is shown before anything is asked.

    It is vouched for by the authority that the agent was given, so that what is wrong with it is one thing; else by
    nobody.
    """

    wrong: Literal["expired", "other_name"] = "expired"

    @property
    def place(self) -> str | None:  # type: ignore[override]
        """One certificate is shown at a time."""
        return f"{self.route}.certificate"

    def check(self, site: Site) -> None:
        """Raises BadInputError where no TLS ends, and for requests of some alone."""
        self._door(site)
        if self.share < 1 or self.agents or self.addresses or self.flapping is not None:
            raise BadInputError(f"{self.route}.certificate: every caller meets with it: leave share, agents … out")

    async def apply(self, site: Site) -> None:
        """Show it until undone."""
        self.check(site)
        door = self._door(site)
        assert door.edge is not None
        await door.certify(_context(self._made(door)))

    async def undo(self, site: Site) -> None:
        """Show the right one again."""
        await self._door(site).certify(None)

    def _door(self, site: Site) -> Door:
        door = site.route(self.route).door
        if door is None or door.edge is None:
            raise BadInputError(f"{self.route}.certificate: no TLS ends at this route: give the proxy a certificate")
        return door

    def _made(self, door: Door) -> Certified:
        assert door.edge is not None
        name = door.edge.name if self.wrong == "expired" else "another.invalid"
        expires = datetime.datetime.now(datetime.UTC) - _DAY / 24 if self.wrong == "expired" else None
        by = door.edge.authority
        return issued(name, by, expires=expires) if by is not None else self_signed(name, expires=expires)


def _context(certified: Certified) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # a context reads from files alone; it is gone at once
        Path(file.name).write_bytes(certified.pem)
        context.load_cert_chain(file.name)
    return context
