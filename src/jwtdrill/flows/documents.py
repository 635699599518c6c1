"""What anybody may read: key set and metadata, asked for again only if they have changed (RFC 9110 section 13)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled


@dataclass
class Document:
    """One of them, as a client that keeps it. member: what a good one has. name: of the flow in tallies."""

    name: str
    url: str
    member: str
    _validators: dict[str, str] = field(default_factory=dict)

    def request(self) -> Request:
        """A request that names the version on hand."""
        return Request("GET", self.url, {"Accept": "application/json", **self._validators})

    def judge(self, response: Response) -> Judgement:
        """Accepted by the document or by word that it has not changed; remembers the version."""
        if response.status == 304 and self._validators:
            return Judgement(Verdict.ACCEPTED, "not modified")
        if response.status == 200:
            content = response.json()
            if not isinstance(content, Mapping) or self.member not in content:
                return Judgement(Verdict.ERRORED, f"status 200 without {self.member}")
            names = (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
            self._validators = {ask: response.headers[given] for given, ask in names if given in response.headers}
            return Judgement(Verdict.ACCEPTED)
        return throttled(response) or errored(response)
