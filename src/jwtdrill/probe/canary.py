"""The canary: one known-good token a second to each resource, which tells an outage from an attack.

Now and then it asks for a new token, fetches the key set, and looks at the certificates. All that it sees is in its
metrics; they are what a user has whose issuer and verifiers run without a line of our code.
"""

import asyncio
import contextlib
import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from prometheus_client import Gauge

from jwtdrill.catalog import metrics
from jwtdrill.catalog.exposition import MOST_KIDS, Instruments
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Request
from jwtdrill.flows.token import ClientCredentials, ClientIdentity
from jwtdrill.probe.certificates import certificate
from jwtdrill.probe.sending import send
from jwtdrill.target.discovery import Endpoints
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target
from jwtdrill.tokens.held import GoodTokens

_TIMEOUT = 5.0
_RENEW_CHECK = 1.0
_CERTIFICATES_EVERY = 600.0
_READY_LIFETIME = 300.0  # seconds for which a ready token is taken to be good before it is read again
_log = logging.getLogger("jwtdrill.canary")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between known-good tokens to each resource, and between fetches of the key set."""

    calls: float = 1.0
    keys: float = 5.0


class Canary:
    """The canary of one target."""

    def __init__(
        self, target: Target, endpoints: Endpoints, instruments: Instruments, pace: Pace | None = None
    ) -> None:
        self._endpoints = endpoints
        self._pace = pace or Pace()
        self._tls = tls_context(target)
        described = target.first_client
        identity = ClientIdentity(described, target, endpoints) if described is not None else None
        target.require_resources()
        able = target.resources_for(described)
        if not able:
            raise BadInputError(
                f"{target.path}: every [[resource]] has mtls = true, and the first client has no certificate: "
                "let one that has come first"
            )
        # Where a token is good once, each call would cost the issuer one.
        self._calls = [Call(r, identity.tls if identity else None) for r in able if not r.one_time]
        if not self._calls:
            raise BadInputError(
                f"{target.path}: every [[resource]] has one_time = true, and the canary sends a token more than once: "
                "name one beside them where it may"
            )
        self._tokens = GoodTokens()
        self._ready_tokens = [reference.value for reference in target.token]
        self._target = target
        if described is None and not target.token:
            raise BadInputError(f"{target.path}: no [[client]] and no [[token]]: the canary needs known-good tokens")
        self._flow = ClientCredentials(identity) if identity is not None else None
        self._total = instruments.counter(metrics.CANARY)
        self._duration = instruments.histogram(metrics.CANARY_DURATION)
        self._certificates = instruments.gauge(metrics.CERTIFICATE_EXPIRY)
        self._keys = _KeysSeen(instruments, endpoints.issuer)
        for resource in (metrics.AT_ISSUER, *(call.resource.label for call in self._calls)):
            for result in ("success", "failure"):
                self._total.labels(endpoints.issuer, resource, result)

    async def run(self) -> None:
        """Sing until cancelled. Raises BadInputError when not even the first token can be had."""
        async with httpx.AsyncClient(verify=self._tls, timeout=_TIMEOUT) as client:
            if not await self._renew(client):
                raise BadInputError(f"{self._endpoints.token}: no token could be had: see the message before this one")
            async with asyncio.TaskGroup() as group:
                group.create_task(_every(_RENEW_CHECK, lambda: self._renew_if_due(client)))
                group.create_task(_every(self._pace.keys, lambda: self._look_at_keys(client)))
                group.create_task(_every(_CERTIFICATES_EVERY, self._look_at_certificates))
                for call in self._calls:
                    group.create_task(self._sing(client, call))

    async def _sing(self, client: httpx.AsyncClient, call: Call) -> None:
        turn = 0

        async def once() -> None:
            nonlocal turn
            turn += 1
            token = self._tokens.newest() if turn % 2 else self._tokens.oldest()
            if token is not None:
                await self._send(client, call, token)

        await _every(self._pace.calls, once)

    async def _send(self, client: httpx.AsyncClient, call: Call, token: str) -> None:
        label = call.resource.label
        started = time.perf_counter()
        judged = call.judge(await send(client, call.request(token)))
        self._duration.labels(self._endpoints.issuer, label).observe(time.perf_counter() - started)
        self._count(label, judged.verdict)
        if judged.verdict not in (Verdict.ACCEPTED, Verdict.THROTTLED):
            _log.warning("%s: a known-good token was %s (%s)", label, judged.verdict, judged.remark)

    def _count(self, resource: str, verdict: Verdict) -> None:
        if verdict is Verdict.THROTTLED:
            return  # a word about our rate, not about the token
        result = "success" if verdict is Verdict.ACCEPTED else "failure"
        self._total.labels(self._endpoints.issuer, resource, result).inc()

    async def _renew_if_due(self, client: httpx.AsyncClient) -> None:
        if self._tokens.renewal_due():
            await self._renew(client)

    async def _renew(self, client: httpx.AsyncClient) -> bool:
        if self._flow is None:
            value = self._target.read_token(self._ready_tokens[0])
            self._tokens.add(value, _READY_LIFETIME)
            return True
        response = await send(client, self._flow.request())
        grant = self._flow.grant(response) if response.status == httpx.codes.OK else None
        judged = self._flow.judge(response)
        self._count(metrics.AT_ISSUER, judged.verdict)
        if grant is None:
            _log.warning("no token: %s %s", self._endpoints.token, judged.remark)
            return False
        self._tokens.add(grant.token, grant.lifetime)
        return True

    async def _look_at_keys(self, client: httpx.AsyncClient) -> None:
        response = await send(client, Request("GET", self._endpoints.jwks))
        self._keys.saw(response.body if response.status == httpx.codes.OK else b"")

    async def _look_at_certificates(self) -> None:
        urls = [self._endpoints.token, self._endpoints.jwks, *(call.resource.url for call in self._calls)]
        for host, port in {(p.hostname or "", p.port or 443) for p in map(urlsplit, urls) if p.scheme == "https"}:
            with contextlib.suppress(OSError, ValueError):
                found = await asyncio.to_thread(certificate, host, port, self._tls)
                self._certificates.labels(f"{host}:{port}").set(found.expires.timestamp())


class _KeysSeen:
    """Age of the key set, and when each key first appeared; so many keys and no more."""

    def __init__(self, instruments: Instruments, issuer: str) -> None:
        self._issuer = issuer
        self._last = -math.inf
        self._first_seen: OrderedDict[str, bool] = OrderedDict()  # kid to whether it is shown
        self._gauge: Gauge = instruments.gauge(metrics.KID_FIRST_SEEN)
        instruments.gauge(metrics.JWKS_AGE).labels(issuer).set_function(lambda: time.monotonic() - self._last)

    def saw(self, document: bytes) -> None:
        try:
            kids = [key["kid"] for key in json.loads(document)["keys"] if isinstance(key["kid"], str)]
        except (ValueError, KeyError, TypeError):
            return
        first_look = self._last == -math.inf
        self._last = time.monotonic()
        for kid in kids[:MOST_KIDS]:
            if kid in self._first_seen:
                continue
            self._first_seen[kid] = not first_look
            if not first_look:  # what was there before us may be old: that we came is no change of keys
                self._gauge.labels(self._issuer, kid).set(time.time())
            if len(self._first_seen) > MOST_KIDS:
                oldest, shown = self._first_seen.popitem(last=False)
                if shown:
                    self._gauge.remove(self._issuer, oldest)


async def _every(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Do it on a fixed beat; a beat that comes while the last is still under way is left out."""
    begin = time.monotonic()
    while True:
        await action()
        elapsed = time.monotonic() - begin
        await asyncio.sleep(seconds - elapsed % seconds)
