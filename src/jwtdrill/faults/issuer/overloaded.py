"""The issuer itself is overloaded: its token and introspection endpoints are slow, or give up with an error.

Unlike a fault of the proxy before it, the issuer knows: its own metrics tell of it.
"""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.http.base import Share

_WHAT = "issuer.overloaded"


@dataclass(frozen=True)
class Overloaded:
    """`seconds`: of delay of each answer; `errors`: the share of requests that end in a server_error."""

    seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    errors: Share | None = None

    blast_radius: ClassVar[str] = "every client that wants a token or an introspection meanwhile"
    after_effect: ClassVar[AfterEffect] = AfterEffect("until clients have tried again", ("retry",))
    place: ClassVar[str | None] = "issuer"

    def check(self, site: Site) -> None:
        """Raises BadInputError without an issuer to tell."""
        site.require_issuer(_WHAT)

    async def apply(self, site: Site) -> None:
        """Overload it until undone."""
        await site.require_issuer(_WHAT).overload(self.seconds, self.errors or 0.0)

    async def undo(self, site: Site) -> None:
        """Take the load off it."""
        await site.require_issuer(_WHAT).overload(0.0, 0.0)
