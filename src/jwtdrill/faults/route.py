"""What the fault proxy passes through, and what stands in between: routes, exchanges and answers.

A route is one endpoint of an upstream. Its faults lie one upon another: each answers in the stead of what lies below
it, and may ask that. Without a fault the upstream itself answers.
"""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

import h11
import httpx

from jwtdrill.tokens.certificates import Certified
from jwtdrill.verify.certificate import CERTIFICATE_HEADER, EDGE_HEADER, forwarded

Headers = Sequence[tuple[bytes, bytes]]
TEXT = [(b"content-type", b"text/plain")]
_UPSTREAM_SECONDS = 30.0
_UPSTREAM_CONNECTIONS = 1000
# Headers of one connection only (RFC 9110 section 7.6.1), and those that httpx or h11 set anew.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
# What a body may be encoded in is for the one to say who decodes it: httpx.
_OURS = frozenset((b"host", b"content-length", b"expect", b"accept-encoding", CERTIFICATE_HEADER, EDGE_HEADER))
_OF_THE_BODY = frozenset((b"content-length", b"content-encoding"))
_CONDITIONS = frozenset((b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"))
_METADATA = "/.well-known/"
_REWRITTEN = "jwks_uri"


class End(StrEnum):
    """How an answer ends that does not come whole."""

    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response; or one that ends after so many bytes of its body, which its length promises whole."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    ends_after: int | None = None
    end: End = End.RESET

    def header(self, name: bytes) -> bytes:
        """The value of a header, empty without."""
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def with_headers(self, *headers: tuple[bytes, bytes]) -> "Answer":
        """The same with these headers instead of those of the same names."""
        names = {name for name, _ in headers}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        return Answer(self.status, [*kept, *headers], self.body)


@dataclass(frozen=True, slots=True)
class Edge:
    """TLS that ends at a listener. Who shows a certificate is told of to the upstream, which knows us by the secret.

    name: that its certificate is for; authority: that vouches for another one, where we hold it.
    """

    tls: ssl.SSLContext
    name: str
    secret: str = field(default="", repr=False)
    authority: Certified | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: address, and certificate in DER, empty without."""

    address: str
    certificate: bytes = field(default=b"", repr=False)


class Responder(Protocol):
    """A fault that answers requests."""

    def concerns(self, exchange: "Exchange") -> bool:
        """Whether it answers this one."""
        ...

    async def respond(self, exchange: "Exchange") -> Answer | None:
        """The answer to give; None closes the connection without one."""
        ...


class Exchange:
    """One request on a route, to be answered by the upmost fault that it concerns, or else by the upstream."""

    def __init__(
        self, route: "Route", request: h11.Request, body: bytes, caller: Caller, below: Sequence[Responder]
    ) -> None:
        self.route = route
        self.request = request
        self.caller = caller
        self._body = body
        self._below = below

    @property
    def agent(self) -> str:
        """Who asks, as it calls itself."""
        return dict(self.request.headers).get(b"user-agent", b"").decode("latin-1")

    async def answer(self) -> Answer | None:
        """The answer to give."""
        for number, fault in enumerate(self._below):
            if fault.concerns(self):
                below = self._below[number + 1 :]
                return await fault.respond(Exchange(self.route, self.request, self._body, self.caller, below))
        return await self.route.ask(self.request, self._body, self.caller)

    async def upstream(self) -> Answer:
        """What lies below the fault that asks; 502 where that closes the connection."""
        return await self.answer() or Answer(502, TEXT, b"the upstream does not answer")

    async def document(self) -> Answer:
        """The same, asked without a condition (RFC 9110 section 13.1), so that there is a body to alter."""
        kept = [(name, value) for name, value in self.request.headers if name not in _CONDITIONS]
        request = h11.Request(method=self.request.method, target=self.request.target, headers=kept)
        return await Exchange(self.route, request, self._body, self.caller, self._below).upstream()


class Door(Protocol):
    """The listener by which requests come to a route, and to others if it is shared."""

    @property
    def shared(self) -> bool:
        """Whether other routes lie behind it."""
        ...

    @property
    def edge(self) -> Edge | None:
        """TLS that ends there, None without."""
        ...

    def leads_to(self, url: httpx.URL) -> bool:
        """Whether who asks here for the path of that URL gets what lies at that URL."""
        ...

    async def open(self) -> None:
        """Listen; after `refuse` again."""
        ...

    async def refuse(self) -> None:
        """Refuse connections, and drop those that are open."""
        ...

    async def certify(self, context: ssl.SSLContext | None) -> None:
        """Show another certificate from the next handshake on, and drop what is open; None for its own."""
        ...


class Route:
    """One endpoint of an upstream: what lies at or below its paths, or all that no other route has.

    public: the URL by which clients know the listener, where `jwks_uri` in metadata is to lead there. secret: by which
    the upstream knows who tells it of clients' certificates. trust: in the upstream's certificate.
    """

    def __init__(
        self,
        name: str,
        upstream: str,
        paths: Sequence[str] = (),
        public: str = "",
        secret: str = "",
        trust: ssl.SSLContext | bool = True,
    ) -> None:
        self.name = name
        self.upstream = upstream.rstrip("/")
        self.paths = tuple(paths)
        self.client = httpx.AsyncClient(
            verify=trust,
            timeout=_UPSTREAM_SECONDS,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # one caller's are not another's
            limits=httpx.Limits(max_connections=_UPSTREAM_CONNECTIONS),
        )
        self._public = public.rstrip("/")
        self._secret = secret
        self.fault_over = asyncio.Event()
        self._faults: list[Responder] = []
        self._first_seen: dict[str, int] = {}
        self.door: Door | None = None

    def add(self, fault: Responder) -> None:
        """Let the fault answer from the next request on, above those that are in force."""
        self.fault_over.clear()
        self._faults.insert(0, fault)

    def remove(self, fault: Responder) -> None:
        """Let it answer no more; whoever hangs in a fault of this route is let go. No error if it was gone."""
        self._faults = [other for other in self._faults if other is not fault]
        over, self.fault_over = self.fault_over, asyncio.Event()
        over.set()

    def exchange(self, request: h11.Request, body: bytes, caller: Caller) -> Exchange:
        """One request, with the faults that are in force now."""
        return Exchange(self, request, body, caller, tuple(self._faults))

    def fits(self, path: str) -> int:
        """How well it fits: the length of its path, 0 for the one of everything else, below that not at all."""
        if not self.paths:
            return 0
        return max(
            (len(own) for own in self.paths if path == own or path.startswith(own.rstrip("/") + "/")), default=-1
        )

    def place_of(self, target: bytes) -> httpx.URL:
        """Where that path, with its query, lies at the upstream."""
        base = httpx.URL(self.upstream)
        return base.copy_with(raw_path=base.raw_path.rstrip(b"/") + target)

    async def ask(self, request: h11.Request, body: bytes, caller: Caller) -> Answer:
        """What the upstream answers; 502 when it does not."""
        headers = [(name, value) for name, value in request.headers if name not in _HOP_BY_HOP and name not in _OURS]
        if caller.certificate and self._secret:
            headers += forwarded(caller.certificate, self._secret)
        if not request.target.startswith(b"/"):  # another form would name another host
            return Answer(400, TEXT, b"the request target must be a path")
        url = self.place_of(request.target)
        try:
            response = await self.client.request(request.method.decode("ascii"), url, headers=headers, content=body)
        except (httpx.HTTPError, httpx.InvalidURL):
            return Answer(502, TEXT, b"the upstream does not answer")
        kept = [
            (name.lower(), value)
            for name, value in response.headers.raw
            if name.lower() not in _HOP_BY_HOP and name.lower() not in _OF_THE_BODY
        ]
        self.note_keys(response.content)
        content = self._led_here(response.content) if _METADATA in url.path else response.content
        return Answer(response.status_code, kept, content)

    def note_keys(self, document: bytes) -> None:
        """Remember in which order keys appeared; of several at once the first in the set counts as newest."""
        for kid in reversed(_kids(document)):
            self._first_seen.setdefault(kid, len(self._first_seen))

    def age_order(self, kids: Sequence[str]) -> list[str]:
        """These keys, in the order in which they appeared."""
        return sorted(kids, key=lambda kid: self._first_seen.get(kid, -1))

    async def close(self) -> None:
        """Drop the connections to the upstream."""
        await self.client.aclose()

    def _led_here(self, metadata: bytes) -> bytes:
        """Metadata (RFC 8414) whose key set is fetched by way of this listener, if the listener leads there."""
        if not self._public or self.door is None:
            return metadata
        try:
            document = json.loads(metadata)
            uri = httpx.URL(document[_REWRITTEN])
        except (ValueError, KeyError, TypeError, httpx.InvalidURL):
            return metadata
        if not self.door.leads_to(uri):
            return metadata
        document[_REWRITTEN] = self._public + uri.raw_path.decode("ascii")
        return json.dumps(document).encode()


def _kids(document: bytes) -> list[str]:
    """The kids of a JWK set, in its order; none if it is no such set."""
    try:
        entries = json.loads(document)["keys"]
        return [entry["kid"] for entry in entries if isinstance(entry.get("kid"), str)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
