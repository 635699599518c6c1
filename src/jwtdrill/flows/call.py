"""A call to a protected resource with a bearer token (RFC 6750)."""

from dataclasses import dataclass

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.target.model import Resource

_REFUSALS = (401, 403, 413, 431)  # too large a token is refused as 413 or 431


@dataclass(frozen=True, slots=True)
class Call:
    """One call to `resource`."""

    resource: Resource
    name = "call"

    def request(self, token: str) -> Request:
        """The request that carries the token."""
        headers = {**self.resource.headers, "Authorization": f"Bearer {token}"}
        body = self.resource.body.encode() if self.resource.body is not None else None
        return Request(self.resource.method, self.resource.url, headers, body)

    def judge(self, response: Response) -> Judgement:
        """Accepted by any 2xx; rejected as RFC 6750 section 3 says, or by a redirect to a login."""
        status = response.status
        if 200 <= status < 300:
            return Judgement(Verdict.ACCEPTED)
        if status in _REFUSALS:
            return Judgement(Verdict.REJECTED, f"status {status}")
        challenge = response.headers.get("www-authenticate", "").lower()
        if status == 400 and "bearer" in challenge:
            return Judgement(Verdict.REJECTED, "status 400 with a Bearer challenge")
        if 300 <= status < 400 and "location" in response.headers:
            return Judgement(Verdict.REJECTED, f"status {status}, a redirect to a login")
        return throttled(response) or errored(response)
