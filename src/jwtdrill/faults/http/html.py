"""A page for people comes instead of the document: a captive portal, a CDN's error page, a login."""

from typing import Literal

from pydantic.dataclasses import dataclass

from jwtdrill.faults.http.base import HttpFault
from jwtdrill.faults.route import Answer, Exchange

_PAGE = b"<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>\n"


@dataclass
class Html(HttpFault):
    """`status`: most such pages say that all is well."""

    status: Literal[200, 403, 502, 503] = 200

    async def respond(self, exchange: Exchange) -> Answer | None:  # noqa: ARG002
        """The page."""
        return Answer(self.status, [(b"content-type", b"text/html; charset=utf-8")], _PAGE)
