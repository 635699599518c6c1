"""The preflight: what must be so before a target is loaded, broken or put into production, item by item.

Nothing is broken and little is sent, so that it may run in production too. What follows from what was fetched is in
`items`.
"""

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from jwtdrill.catalog.objectives import objectives
from jwtdrill.catalog.verdicts import Verdict, held
from jwtdrill.errors import JwtdrillError
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Response
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.sts import AssumeRole
from jwtdrill.flows.token import JWT_BEARER, ClientCredentials, ClientIdentity, JwtBearer, signer_of
from jwtdrill.probe.certificates import certificate
from jwtdrill.probe.genuine import TokenSource
from jwtdrill.probe.items import (
    Item,
    cache_item,
    certificate_item,
    claims_items,
    clock_item,
    either,
    failed,
    key_items,
    passed,
    plain_item,
    revocation_item,
    unknown,
)
from jwtdrill.probe.sending import send, send_proved
from jwtdrill.probe.watched import watched_items
from jwtdrill.target.discovery import Endpoints, discover, metadata
from jwtdrill.target.documents import Document, fetch
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Client, Resource, Target
from jwtdrill.tokens.cases import QUICK, NotApplicableError

_TIMEOUT = 10.0
_WANTED = ("issuer", "token_endpoint", "jwks_uri")  # what else there is has a default (RFC 8414 section 2)


async def check(target: Target, tell: Callable[[Item], None] = lambda _: None) -> list[Item]:
    """All items, in order; each is told as soon as it is known. Raises BadInputError for a bad target file alone."""
    return await _Preflight(target, tell).run()


class _Preflight:
    def __init__(self, target: Target, tell: Callable[[Item], None]) -> None:
        self._target = target
        self._tls = tls_context(target)
        self._tell = tell
        self._items: list[Item] = []
        self._document: Document | None = None

    def _note(self, items: Iterable[Item]) -> None:
        for item in items:
            self._items.append(item)
            self._tell(item)

    async def run(self) -> list[Item]:
        self._note(_referred(self._target))
        self._note(self._metadata())
        try:
            endpoints = discover(self._target)
        except JwtdrillError as error:
            self._note([failed("endpoints", str(error), "the rest of the preflight needs them")])
            return self._items
        self._note(self._transport(endpoints))
        keys = self._keys(endpoints)
        async with httpx.AsyncClient(verify=self._tls, timeout=_TIMEOUT) as client:
            bearers = await self._tokens(client, endpoints)
            token = bearers[0].token if bearers else ""
            plain = next((one.token for one in bearers if one.prover is None), "")
            self._note(claims_items(token, self._target, {str(key.get("kid")) for key in keys}))
            await self._resources(client, bearers)
            await self._token_service(client, plain)
            await self._introspection(client, endpoints, token)
            self._note(await watched_items(self._target, client))
        return self._items

    def _metadata(self) -> list[Item]:
        issuer = self._target.issuer
        try:
            self._document = metadata(issuer.url, self._tls)
            content = self._document.members()
        except JwtdrillError as error:
            if issuer.token_endpoint and issuer.jwks_uri:
                return [unknown("metadata", f"{error}", "the target file names the endpoints itself")]
            return [failed("metadata", str(error), "serve RFC 8414 metadata, or name the endpoints under [issuer]")]
        lacking = [name for name in _WANTED if name not in content]
        return [
            passed("metadata", f"found at {self._document.url}"),
            either(
                content.get("issuer") == issuer.url,
                "metadata issuer",
                f"it names {content.get('issuer')!r}",
                "set issuer.url to exactly what it names: verifiers compare it letter by letter (RFC 8414 section 3.3)",
            ),
            either(
                not lacking,
                "metadata complete",
                f"lacks {', '.join(lacking)}" if lacking else f"{len(content)} members",
                "publish these members (RFC 8414 section 2)",
            ),
            clock_item(self._document),
            revocation_item(content),
        ]

    def _transport(self, endpoints: Endpoints) -> list[Item]:
        urls = [endpoints.issuer, endpoints.token, endpoints.jwks, endpoints.introspection, endpoints.revocation]
        urls += [resource.url for resource in self._target.places]
        items = []
        for scheme, host, port in sorted({_origin(url) for url in urls if url}):
            name = f"TLS at {host}:{port}"
            if scheme == "http":
                items.append(plain_item(name, host))
                continue
            try:
                found = certificate(host, port, self._tls)
            except (OSError, ssl.SSLError) as error:
                why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
                items.append(
                    failed(name, f"no trusted connection: {why}", "mend chain and names, or set ca under [tls]")
                )
                continue
            items.append(certificate_item(name, found))
        return items

    def _keys(self, endpoints: Endpoints) -> Sequence[Mapping[str, Any]]:
        try:
            found = fetch(endpoints.jwks, self._tls)
            keys = found.members().get("keys")
        except JwtdrillError as error:
            self._note([failed("key set", str(error), "serve the key set there, or mend jwks_uri")])
            return []
        described = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
        if found.status != httpx.codes.OK or not described:
            self._note([failed("key set", f"status {found.status}, no keys", "publish the keys that sign")])
            return []
        self._note([passed("key set", f"{len(described)} keys"), *key_items(described), cache_item(found.headers)])
        return described

    async def _tokens(self, client: httpx.AsyncClient, endpoints: Endpoints) -> list["_Bearer"]:
        """A token by each grant that is configured; returns those that resources can be called with."""
        bearers = []
        for described in self._target.first_clients:
            try:
                there = endpoints if described.issuer is None else discover(self._target, described.issuer)
            except JwtdrillError as error:
                self._note([failed(f"token for {described.id}", str(error), "mend the issuer of this client")])
                continue
            for flow in flows_of(described, there):
                name = f"token for {described.id} by {flow}{' with a proof' if described.dpop else ''}"
                prover = Prover()
                try:
                    identity = ClientIdentity(described, self._target, there)
                    token = await self._token(client, identity, there, flow, prover)
                except JwtdrillError as error:
                    self._note([failed(name, str(error), "mend credential, grant or scope of this client")])
                    continue
                self._note([passed(name, f"{len(token)} bytes")])
                if described.issuer is None:
                    another = partial(self._token, client, identity, there, flow, prover)
                    proving = prover if described.dpop else None
                    bearers.append(_Bearer(token, described, identity.tls, proving, another))
        if not self._target.client and self._target.token:
            token = await TokenSource(self._target, endpoints).token(client)
            self._note([passed("ready token", f"{len(token)} bytes")])
            bearers.append(_Bearer(token))
        if not self._target.client and not self._target.token:
            self._note([unknown("token", "the target file has neither [[client]] nor [[token]]", "add one")])
        return bearers

    async def _token(
        self, client: httpx.AsyncClient, identity: ClientIdentity, endpoints: Endpoints, flow: str, prover: Prover
    ) -> str:
        if flow == ClientCredentials.name:
            proving = prover if identity.client.dpop else None
            return await TokenSource(self._target, endpoints, identity, proving).token(client)
        exchange = JwtBearer(identity)
        answer = await send(client, exchange.request())
        grant = exchange.grant(answer) if answer.status == httpx.codes.OK else None
        if grant is None:
            raise JwtdrillError(f"{identity.endpoint}: {exchange.judge(answer).remark}")
        return grant.token

    async def _resources(self, client: httpx.AsyncClient, bearers: Sequence["_Bearer"]) -> None:
        for resource in self._target.places:
            name = f"{resource.label} accepts a good token"
            able = [one for one in bearers if one.may_call(resource, self._target)]
            bearer = min(able, key=lambda one: one.prover is not None, default=None)
            if bearer is None:
                lacking = "for a client with a certificate" if resource.mtls and bearers else ""
                self._note([unknown(name, f"there is no token {lacking}".rstrip())])
                continue
            try:
                bearer = await bearer.fresh() if resource.one_time else bearer
            except JwtdrillError as error:
                self._note([unknown(name, f"there is no token that nobody has used: {error}")])
                continue
            call, token = Call(resource, bearer.tls), bearer.token
            good = call.judge(await _called(client, call, bearer))
            mend = "see why this resource refuses the issuer's token: audience, issuer, keys, clock"
            self._note([either(good.verdict is Verdict.ACCEPTED, name, good.remark or good.verdict, mend)])
            name = f"{resource.label} refuses bad tokens"
            if good.verdict is not Verdict.ACCEPTED:
                self._note([unknown(name, "it refuses the good one, so that a refusal says nothing")])
                continue
            self._note([await self._refusals(client, call, token, name)])

    async def _refusals(self, client: httpx.AsyncClient, call: Call, token: str, name: str) -> Item:
        let_in, tried = [], 0
        for case in QUICK[1:]:
            try:
                request = call.request(case.forge(call.material(token)), case.carrier)
            except NotApplicableError:
                continue
            tried += 1
            verdict = call.judge(await send(client, request)).verdict
            if not held(case.expected, verdict) and verdict is Verdict.ACCEPTED:
                let_in.append(case.id)
        if let_in:
            return failed(
                name, f"it accepts {', '.join(let_in)}", "stop the roll-out; run `jwtdrill attack` for all of it"
            )
        return passed(name, f"{tried} kinds refused; `jwtdrill attack` tries them all")

    async def _token_service(self, client: httpx.AsyncClient, token: str) -> None:
        sts = self._target.sts
        if sts is None:
            return
        name = "security token service gives credentials"
        try:
            shown = self._target.read_token(sts.token) if sts.token is not None else token
        except JwtdrillError as error:
            self._note([failed(name, str(error), "mend token under [sts]")])
            return
        if not shown:
            self._note([unknown(name, "there is no token to show")])
            return
        flow = AssumeRole(sts)
        judged = flow.judge(await send(client, flow.request(shown)))
        mend = "see url, role and the trust of that role: issuer, audience, subject"
        self._note([either(judged.verdict is Verdict.ACCEPTED, name, judged.remark or judged.verdict, mend)])

    async def _introspection(self, client: httpx.AsyncClient, endpoints: Endpoints, token: str) -> None:
        if not endpoints.introspection or not token or not self._target.client:
            return
        flow = Introspection(ClientIdentity(self._target.require_client(), self._target, endpoints))
        good = flow.judge(await send(client, flow.request(token)))
        bad = flow.judge(await send(client, flow.request("not-a-token")))
        name = "introspection tells good from bad"
        seen = f"good: {good.remark or 'active'}, bad: {bad.remark or bad.verdict}"
        if good.verdict is Verdict.ERRORED:
            self._note([unknown(name, seen, "see whether this issuer introspects such tokens, and for this client")])
            return
        mend = "answer `active: true` for a good token and `active: false` for what is none (RFC 7662 section 2.2)"
        self._note([either(good.verdict is Verdict.ACCEPTED and bad.verdict is Verdict.REJECTED, name, seen, mend)])


@dataclass(frozen=True, slots=True)
class _Bearer:
    """A token, whose it is, and what that client shows with it."""

    token: str = field(repr=False)
    client: Client | None = None
    tls: ssl.SSLContext | None = None
    prover: Prover | None = None
    another: Callable[[], Awaitable[str]] | None = None

    async def fresh(self) -> "_Bearer":
        """With a token that nobody has used, where there is more than one. Raises JwtdrillError."""
        return self if self.another is None else replace(self, token=await self.another())

    def may_call(self, resource: Resource, target: Target) -> bool:
        """Whether it is a token for that resource: one that is bound to a key only where proofs are taken."""
        return resource in target.resources_for(self.client) and (self.prover is None or resource.dpop)


async def _called(client: httpx.AsyncClient, call: Call, bearer: _Bearer) -> Response:
    """What the resource says to a good token, with a proof where it is bound to a key."""
    if bearer.prover is None:
        return await send(client, call.request(bearer.token))
    return await send_proved(client, bearer.prover, lambda: call.request(bearer.token), bearer.token)


def _referred(target: Target) -> list[Item]:
    """What other commands read: objectives, keys that we hold, tokens to begin with; and that there is a resource."""
    items = []
    name = "what the file refers to"
    tries: list[Callable[[], object]] = [lambda: objectives(target.objectives_path), lambda: signer_of(target)]
    for foreign in target.foreign:
        what = f"foreign {foreign.issuer}"
        if foreign.key is not None:
            tries.append(partial(target.signing_key, what, foreign.key, foreign.alg, foreign.kid))
        elif foreign.token is not None:
            tries.append(partial(target.read_token, foreign.token))
    for described in target.client:
        tries.append(partial(target.require_files, described))
        if (given := described.numbered(1).refresh_token) is not None:
            tries.append(partial(target.read_token, given))
    for attempt in tries:
        try:
            attempt()
        except JwtdrillError as error:
            items.append(failed(name, str(error), "mend that reference"))
    if not target.resource:
        items.append(unknown("resources", "the target file has no [[resource]]", "add one: load and attack need it"))
    return items or [passed(name, "can be read")]


def flows_of(client: Client, endpoints: Endpoints) -> list[str]:
    """The grants by which that client is configured to ask, of those that the issuer offers."""
    flows = [ClientCredentials.name] if client.auth != "none" else []  # RFC 6749 section 4.4: for confidential ones
    if client.signs and not client.dpop and endpoints.offers(JWT_BEARER):
        flows.append(JwtBearer.name)
    return [flow for flow in flows if client.may(flow)]


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
