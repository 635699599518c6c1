"""Clients for the flows beyond a plain token and a call: exchange, broker, refresh, introspection, revocation, proofs.

A locustfile takes one, adds a task, and says what it asks. `impossible` says why a target cannot be asked so.
"""

import random
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import gevent

from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.flows.call import Call
from jwtdrill.flows.documents import Document
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.refresh import Refresh
from jwtdrill.flows.revocation import Revocation
from jwtdrill.flows.sts import AssumeRole
from jwtdrill.flows.token import ASSERTION_LIFETIME, JWT_BEARER, Grant
from jwtdrill.flows.token_exchange import JWT, TOKEN_EXCHANGE, Broker, TokenExchange
from jwtdrill.load import plugin
from jwtdrill.load.run import Run
from jwtdrill.load.users import Client, TokenHolder
from jwtdrill.load.verdict import VALID
from jwtdrill.target.model import Client as Described
from jwtdrill.target.model import Foreign, Target
from jwtdrill.tokens.minter import Claims, Minter

REVOKED, REUSED = "revoked", "refresh_reused"
_LOOK = 0.1  # seconds from one look at a revoked token to the next
_LONGEST_LOOK = 10.0


class TokenExchanger(TokenHolder):
    """Exchanges its own token for another (RFC 8693)."""

    abstract = True
    calls_resources = False
    grant_type = TOKEN_EXCHANGE

    @cached_property
    def exchanging(self) -> TokenExchange:
        """How it exchanges."""
        return TokenExchange(self.identity)

    def exchange(self, *, delegated: bool = False) -> Grant | None:
        """A token for the one held; delegated: as an actor for its subject, here both the same client."""
        token = self.held()
        if token is None:
            return None
        actor = token if delegated else None
        return self.grant(self.exchanging, lambda: self.exchanging.request(token, actor=actor))


class RoleAssumer(TokenHolder):
    """Gets temporary credentials of a cloud for its token (AssumeRoleWithWebIdentity)."""

    abstract = True
    calls_resources = False

    @classmethod
    def rehearse(cls, run: Run) -> None:
        """The ready token too."""
        super().rehearse(run)
        if run.target.sts is not None and run.target.sts.token is not None:
            run.target.read_token(run.target.sts.token)

    @cached_property
    def assuming(self) -> AssumeRole:
        """How it asks."""
        assert self.shared.target.sts is not None
        return AssumeRole(self.shared.target.sts)

    @cached_property
    def _ready(self) -> str:
        sts = self.shared.target.sts
        return self.shared.target.read_token(sts.token) if sts is not None and sts.token is not None else ""

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without such a service nobody can be asked."""
        return super().impossible(run) if run.target.sts is not None else "the target file has no [sts]"

    def assume(self, token: str | None = None, case: str = VALID, expected: Expected = Expected.ACCEPTED) -> None:
        """Ask with that token, else with a good one."""
        token = token or self._ready or self.held()
        if token is not None:
            flow = self.assuming
            self.send(flow.name, case, flow.label, expected, flow.request(token), flow)


class BrokeredClient(Client):
    """Brings a foreign issuer's token and gets a local one; each client is a subject of its own."""

    abstract = True
    grant_type = TOKEN_EXCHANGE

    @classmethod
    def rehearse(cls, run: Run) -> None:
        """The foreign tokens too."""
        super().rehearse(run)
        for foreign in run.target.foreign:
            foreign_tokens(run.target, foreign)

    @cached_property
    def brokering(self) -> Broker:
        """How it exchanges."""
        return Broker(self.identity)

    @cached_property
    def _mints(self) -> list[Callable[[str, str], str]]:
        target = self.shared.target
        return [foreign_tokens(target, foreign) for foreign in target.foreign]

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without a foreign issuer there is nothing to bring."""
        return super().impossible(run) if run.target.foreign else "the target file has no [[foreign]]"

    def exchange(self) -> Grant | None:
        """A local token for a fresh one of a foreign issuer, of each as often as its weight."""
        weights = [foreign.weight for foreign in self.shared.target.foreign]
        mint = random.choices(self._mints, weights)[0]  # noqa: S311 - not a secret
        subject, audience = f"subject-{self.number + 1}", self.identity.endpoints.issuer
        return self.grant(self.brokering, lambda: self.brokering.request(mint(subject, audience), subject_type=JWT))


class Refresher(Client):
    """Holds a refresh token, which each use replaces (RFC 9700 section 4.14)."""

    abstract = True
    scope = "offline_access"

    wanted = "no [[client]] has a key to sign an assertion with, nor a refresh_token"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._refresh: str | None = None

    @cached_property
    def refreshing(self) -> Refresh:
        """How it refreshes."""
        return Refresh(self.identity)

    @classmethod
    def suits(cls, client: Described) -> bool:
        """The first refresh token is given, or comes with an assertion's grant."""
        return super().suits(client) and (client.signs or client.refresh_token is not None)

    @classmethod
    def impossible(cls, run: Run) -> str:
        """By an assertion's grant only where the issuer offers it."""
        clients = cls.roster(run).clients
        if clients and all(client.refresh_token is None for client in clients) and not run.endpoints.offers(JWT_BEARER):
            return f"the issuer's metadata does not offer the grant {JWT_BEARER}, and no client has a refresh_token"
        return super().impossible(run)

    @classmethod
    def rehearse(cls, run: Run) -> None:
        """The given refresh tokens too."""
        super().rehearse(run)
        for client in cls.roster(run).clients:
            if client.refresh_token is not None:
                run.target.read_token(client.numbered(client.count).refresh_token or client.refresh_token)

    def prepare(self) -> bool:
        """Get the first refresh token."""
        return self.begin() is not None

    def begin(self) -> str | None:
        """A refresh token of a new family; None while the issuer gives none."""
        given = self.identity.client.refresh_token
        if given is not None:
            self._refresh = self.shared.target.read_token(given)
            return self._refresh
        flow = self.asserting
        scope = f"{flow.identity.client.scope or ''} {self.scope}".strip()
        granted = self.grant(flow, lambda: flow.request(scope=scope))
        self._refresh = granted.refresh if granted is not None else None
        return self._refresh

    def refresh(self) -> Grant | None:
        """A new access token, and the next refresh token."""
        token = self._refresh or self.begin()
        if token is None:
            return None
        granted = self.grant(self.refreshing, lambda: self.refreshing.request(token))
        self._refresh = granted.refresh if granted is not None else None
        return granted

    def reuse(self) -> None:
        """Use a refresh token twice, as a thief would: the second time it must be refused, and its heir with it."""
        token = self._refresh or self.begin()
        if token is None:
            return
        following = self.refresh()
        self.grant(self.refreshing, lambda: self.refreshing.request(token), REUSED, Expected.REJECTED)
        if following is not None and following.refresh is not None:
            heir = following.refresh
            self.grant(self.refreshing, lambda: self.refreshing.request(heir), REUSED, Expected.REJECTED)
        self._refresh = None


class Introspecter(TokenHolder):
    """Asks the issuer about its token each time, as a resource server does that cannot read it (RFC 7662)."""

    abstract = True
    calls_resources = False

    @cached_property
    def introspection(self) -> Introspection:
        """How it asks."""
        return Introspection(self.identity)

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without an endpoint nobody can be asked."""
        return super().impossible(run) if run.endpoints.introspection else "the issuer names no introspection endpoint"

    def introspect(self, token: str, case: str = VALID, expected: Expected = Expected.ACCEPTED) -> Verdict:
        """What the issuer says of it."""
        flow = self.introspection
        return self.send(flow.name, case, "introspection endpoint", expected, flow.request(token), flow)[1]


class Revoker(Introspecter):
    """Revokes tokens, proves that they are refused, and measures how long that took."""

    abstract = True
    calls_resources = True
    keeps_tokens = True

    @cached_property
    def revocation(self) -> Revocation:
        """How it revokes."""
        return Revocation(self.identity)

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without an endpoint nothing can be revoked."""
        return super().impossible(run) if run.endpoints.revocation else "the issuer names no revocation endpoint"

    def revoke(self, token: str) -> bool:
        """Revoke it; whether the issuer took it: where it did not, later use of the token proves nothing.

        The answer is the same whether or not it was a token (RFC 7009 section 2.2).
        """
        flow = self.revocation
        sent = self.send(flow.name, VALID, "revocation endpoint", Expected.ACCEPTED, flow.request(token), flow)
        return sent[1] is Verdict.ACCEPTED

    def prove_refused(self, call: Call, token: str) -> float | None:
        """Seconds until that resource, at each of its nodes, refuses the revoked token; None when it does not in ten.

        Only the last look is counted as a call: until then either verdict is right.
        """
        began = time.monotonic()
        refused = [self._await_refusal(Call(place, call.tls), token, began) for place in call.resource.everywhere]
        return time.monotonic() - began if all(refused) else None

    def _await_refusal(self, call: Call, token: str, began: float) -> bool:
        while not (refused := call.judge(self.sender.send(call.request(token))).verdict is Verdict.REJECTED):
            if time.monotonic() - began > _LONGEST_LOOK or plugin.draining():
                break
            self.shared.looking += 1
            gevent.sleep(max(_LOOK, self.shared.looking / self.shared.spare_rate))
            self.shared.looking -= 1
        seconds = time.monotonic() - began
        self.send(call.name, REVOKED, call.resource.label, Expected.REJECTED, call.request(token), call)
        if refused:
            self.tell(f"revoked {call.resource.label}", seconds)
        return refused

    def tell(self, name: str, seconds: float) -> None:
        """Show a time beside the requests in Locust's own statistics."""
        self.environment.events.request.fire(
            request_type="WAIT",
            name=name,
            response_time=seconds * 1e3,
            response_length=0,
            exception=None,
            context={},
            response=None,
        )


class CertifiedCaller(TokenHolder):
    """A client with a certificate, to which its tokens are bound, and which it shows with each call (RFC 8705)."""

    abstract = True
    wanted = "no [[client]] has a certificate"

    @classmethod
    def suits(cls, client: Described) -> bool:
        """Those with a certificate."""
        return client.certificate is not None

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without such a resource nobody looks at the certificate."""
        if not any(resource.mtls for resource in run.target.resource):
            return "no [[resource]] has mtls = true"
        return super().impossible(run)

    @cached_property
    def certified_calls(self) -> list[Call]:
        """The resources that are called over mutual TLS."""
        return [call for call in self.calls if call.resource.mtls]


class ProvedCaller(Client):
    """A client whose tokens are bound to a key of its own, which it proves with each request (RFC 9449)."""

    abstract = True
    keeps_tokens = True
    wanted = "no [[client]] has dpop = true"

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.prover = Prover()
        self._granted: Grant | None = None
        self._renew_at = 0.0

    @classmethod
    def suits(cls, client: Described) -> bool:
        """Those whose tokens are bound."""
        return client.dpop

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without such a resource nobody looks at the proof."""
        if not any(resource.dpop for resource in run.target.resource):
            return "no [[resource]] has dpop = true"
        return super().impossible(run)

    @cached_property
    def proved_calls(self) -> list[Call]:
        """The resources that want a proof."""
        return [call for call in self.calls if call.resource.dpop]

    def prepare(self) -> bool:
        """Get the first token."""
        return self.bound_token() is not None

    def bound_token(self) -> str | None:
        """The bound token in force; None while the issuer gives none."""
        if self._granted is None or time.monotonic() >= self._renew_at:
            endpoint = self.asking.identity.endpoint
            if not self.prover.has_nonce(endpoint):  # the first answer gives it; it is no part of what is counted
                self.prover.wants_again(endpoint, self.sender.send(self.prover.proved(self.asking.request())))
            self._granted = self.grant(self.asking, lambda: self.prover.proved(self.asking.request()))
            if self._granted is not None:
                self._renew_at = time.monotonic() + self._granted.lifetime * 0.7
        return self._granted.token if self._granted is not None else None

    def call_proved(self, call: Call) -> None:
        """Call a resource with the bound token and a proof."""
        token = self.bound_token()
        if token is None:
            return
        if not self.prover.has_nonce(call.resource.url):
            first = self.sender.send(self.prover.proved(call.request(token), token))
            self.prover.wants_again(call.resource.url, first)
        request = self.prover.proved(call.request(token), token)
        response, _ = self.send(call.name, VALID, f"{call.resource.label}, proof", Expected.ACCEPTED, request, call)
        self.prover.wants_again(call.resource.url, response)


class DocumentReader(Client):
    """Fetches key set and metadata, and asks again only whether they have changed."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        run = self.shared
        self.keys = Document("jwks", run.endpoints.jwks, "keys")
        self.metadata = Document("metadata", run.endpoints.metadata, "issuer")

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Endpoints that the target file names need no metadata, so that nobody knows where it lies."""
        return "" if run.endpoints.metadata else "the target file names the endpoints itself, and no metadata"

    def read(self, document: Document) -> None:
        """Fetch one."""
        self.send(document.name, VALID, document.name, Expected.ACCEPTED, document.request(), document)


def foreign_tokens(target: Target, foreign: Foreign) -> Callable[[str, str], str]:
    """What gives a foreign token for a subject and an audience. Raises BadInputError."""
    if foreign.key is None:
        assert foreign.token is not None
        ready = target.read_token(foreign.token)
        return lambda _subject, _audience: ready
    minter = Minter(target.signing_key(f"foreign {foreign.issuer}", foreign.key, foreign.alg, foreign.kid), typ="JWT")

    def mint(subject: str, audience: str) -> str:
        claims = Claims.lasting(ASSERTION_LIFETIME, now=time.time(), iss=foreign.issuer, sub=subject, aud=audience)
        return minter.mint(claims)

    return mint
