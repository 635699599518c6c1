"""What the faults on a proxied route share: whom they concern, when, and what lasts on."""

import fnmatch
import ipaddress
import json
import random
import time
from dataclasses import field
from typing import Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import AfterEffect, Site
from jwtdrill.faults.route import Answer, Exchange, Route

UNTIL_RETRIED = AfterEffect("until the next try: at most the verifiers' back-off after failed fetches", ("retry",))
UNTIL_FETCHED = AfterEffect(
    "until each verifier fetches the document again: at most its cache lifetime and a back-off",
    ("cache_lifetime", "retry"),
)
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(kw_only=True)
class HttpFault:
    """A fault on the route that its name begins with: `jwks.status` is `status` on the route `jwks`.

    share: of the requests; agents: User-Agent headers that it concerns, as patterns, and addresses: networks of
    callers, all of them by default: so only some verifiers meet with it. flapping: seconds of one period, in whose
    first half the fault is there and in whose second it is not.
    """

    route: str = "jwks"
    share: Share = 1.0
    agents: tuple[str, ...] = ()
    addresses: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    flapping: Annotated[float, Field(ge=0.2, le=600)] | None = None
    _since: float = field(default=0.0, init=False, repr=False)

    blast_radius: ClassVar[str] = "everybody who asks by this route of the proxy, or those whom it is limited to"
    after_effect: ClassVar[AfterEffect] = UNTIL_RETRIED
    place: ClassVar[str | None] = None

    def check(self, site: Site) -> None:
        """Raises BadInputError when nothing is proxied there."""
        site.route(self.route)

    async def apply(self, site: Site) -> None:
        """Answer in the route's stead until undone."""
        route = site.route(self.route)
        await self.prepare(route)
        self._since = time.monotonic()
        route.add(self)

    async def undo(self, site: Site) -> None:
        """Let the route pass through again."""
        site.route(self.route).remove(self)

    async def prepare(self, route: Route) -> None:
        """Whatever must be known before the fault begins."""

    def concerns(self, exchange: Exchange) -> bool:
        """Whether it answers this request."""
        if self.flapping is not None and (time.monotonic() - self._since) % self.flapping >= self.flapping / 2:
            return False
        if self.agents and not any(fnmatch.fnmatchcase(exchange.agent, pattern) for pattern in self.agents):
            return False
        if self.addresses:
            address = ipaddress.ip_address(exchange.caller.address)
            if not any(address in network for network in self.addresses):
                return False
        return self.share >= 1 or random.random() < self.share  # noqa: S311 - not a secret

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The answer to give."""
        raise NotImplementedError


class DocumentFault(HttpFault):
    """A fault that alters the key set that the upstream serves. What is no key set passes unaltered."""

    after_effect: ClassVar[AfterEffect] = UNTIL_FETCHED

    async def respond(self, exchange: Exchange) -> Answer | None:
        """The upstream's answer, altered; as new: a validator of it says nothing of what was altered."""
        answer = await exchange.document()
        try:
            document = json.loads(answer.body)
            keys = document["keys"]
            if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
                return answer
        except (ValueError, KeyError, TypeError):
            return answer
        document["keys"] = self.alter(keys, exchange.route)
        kept = [(name, value) for name, value in answer.headers if name.lower() not in (b"etag", b"last-modified")]
        return Answer(answer.status, kept, json.dumps(document).encode())

    def alter(self, keys: list[dict[str, Any]], route: Route) -> list[dict[str, Any]]:
        """The keys to serve."""
        raise NotImplementedError


def by_age(keys: list[dict[str, Any]], route: Route) -> list[str]:
    """The kids of these keys, in the order in which the route saw them first."""
    return route.age_order([key["kid"] for key in keys if isinstance(key.get("kid"), str)])


def own_path(route: Route, given: str | None, fault: str) -> str:
    """The path of the document of a route. Raises BadInputError when it must be said."""
    path = given or (route.paths[0] if route.paths else None)
    if path is None:
        raise BadInputError(f"{route.name}.{fault}: give the path of the document, for this route is for many")
    return path
