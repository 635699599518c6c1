"""A call to a protected resource with a bearer token (RFC 6750)."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.exchange import Judgement, Request, Response, errored, throttled
from jwtdrill.target.model import Reading, Resource
from jwtdrill.tokens.cases import Carrier, Material
from jwtdrill.tokens.cases.case import NOBODY
from jwtdrill.tokens.minter import Minter

# By which edges tell services who asks, once they have verified it: of nginx, oauth2-proxy, Envoy, Kong, Google, AWS.
_IDENTITY_HEADERS = (
    *(
        "X-User",
        "X-Remote-User",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Auth-Request-User",
        "X-Auth-Request-Email",
    ),
    *("X-Authenticated-Userid", "X-Consumer-Username", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity"),
    *("X-JWT-Sub", "X-Claims-Sub"),
)
_REFUSALS = (401, 403, 413, 431)  # too large a token is refused as 413 or 431


@dataclass(frozen=True, slots=True)
class Call:
    """One call to `resource`. tls: where the caller shows a certificate of its own."""

    resource: Resource
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    name: ClassVar[str] = "call"

    def request(self, token: str, carrier: Carrier = Carrier.HEADER) -> Request:
        """The request that carries the token, in the header if nothing else is asked for (RFC 6750 section 2)."""
        resource = self.resource
        headers = {**resource.headers, **_authorization(token, carrier)}
        body = resource.body.encode() if resource.body is not None else None
        url, method = resource.url, resource.method
        if carrier in (Carrier.QUERY, Carrier.HEADER_AND_QUERY):
            url += f"{'&' if '?' in url else '?'}access_token={quote(token, safe='')}"
        elif carrier is Carrier.FORM:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            method, body = "POST", urlencode({"access_token": token}).encode()
        return Request(method, url, headers, body, self.tls)

    def material(
        self,
        genuine: str,
        signer: Minter | None = None,
        jwks: tuple[Mapping[str, Any], ...] = (),
        listener: str = NOBODY,
    ) -> Material:
        """What cases for this resource are made from."""
        resource = self.resource
        types = tuple(typ.lower() for typ in resource.types)
        return Material(
            genuine,
            signer,
            jwks=jwks,
            listener=listener,
            scope=resource.scope,
            types=types,
            leeway=resource.leeway,
            one_time=resource.one_time,
        )

    def judge(self, response: Response) -> Judgement:
        """As the target file says of this resource, else: accepted by any 2xx; rejected as RFC 6750 section 3 says, or
        by a redirect to a login.
        """
        status = response.status
        if any(_fits(reading, response) for reading in self.resource.rejects):
            return Judgement(Verdict.REJECTED, f"status {status}, which rejects here")
        if any(_fits(reading, response) for reading in self.resource.accepts):
            return Judgement(Verdict.ACCEPTED)
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


def _fits(reading: Reading, response: Response) -> bool:
    if reading.status and response.status not in reading.status:
        return False
    if reading.header is not None:
        value = response.headers.get(reading.header.lower())
        if value is None or (reading.pattern is not None and not re.search(reading.pattern, value)):
            return False
    return reading.body is None or bool(re.search(reading.body, response.body.decode("utf-8", "replace")))


def challenge_error(response: Response) -> str:
    """The error code of the answer's challenge (RFC 6750 section 3.1); empty where there is none."""
    found = re.search(r'\berror="?([a-z_]+)', response.headers.get("www-authenticate", ""))
    return found[1] if found else ""


def _authorization(token: str, carrier: Carrier) -> dict[str, str]:
    match carrier:
        case Carrier.QUERY | Carrier.FORM | Carrier.NOTHING:
            return {}
        case Carrier.IDENTITY_HEADERS:
            return dict.fromkeys(_IDENTITY_HEADERS, "admin")
        case Carrier.TWO_HEADERS:  # names are equal whatever their case (RFC 9110 section 5.1)
            return {"Authorization": f"Bearer {token}", "authorization": "Bearer e30.e30.e30"}
        case Carrier.OTHER_SCHEME:
            return {"Authorization": f"Basic {token}"}
        case Carrier.LOWER_CASE_SCHEME:
            return {"Authorization": f"bearer {token}"}
        case _:
            return {"Authorization": f"Bearer {token}"}
