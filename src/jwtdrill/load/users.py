"""The simulated clients that locustfiles are made of. Each request is judged by its expected verdict."""

import random
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import gevent
from locust import FastHttpUser
from locust.exception import CatchResponseError, StopUser

from jwtdrill.catalog.verdicts import Expected, Tally, Verdict, held
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement, Request, Response
from jwtdrill.flows.token import ClientCredentials, ClientIdentity, Grant, JwtBearer, TokenFlow
from jwtdrill.load import plugin
from jwtdrill.load.fitness import TROUBLE, Missed
from jwtdrill.load.holding import Holding
from jwtdrill.load.lookahead import DryError
from jwtdrill.load.open_loop import take_due
from jwtdrill.load.roster import Roster
from jwtdrill.load.run import READY_SECONDS, Reuse, Run
from jwtdrill.load.sender import Sender, most_connections
from jwtdrill.load.verdict import VALID
from jwtdrill.target.model import NUMBER, Resource
from jwtdrill.target.model import Client as Described
from jwtdrill.tokens.cases import Case, NotApplicableError
from jwtdrill.tokens.reading import kid_of

NO_KEY = "no [[client]] has a key to sign assertions with"
_TIMEOUT = 10.0
_FOR_EVER = 1e6  # seconds that a client of the open model sleeps: its requests are started by their arrival
_RETRY = 1.0
_SPREAD = 1.0  # seconds over which clients that start together begin


class Client(FastHttpUser):
    """One client of the target. In the closed model at the pace of `--throughput`, in the open one as `--rate` says."""

    abstract = True
    host = "http://target.invalid"  # every request has its own absolute URL
    grant_type = ""  # that the issuer must offer, if it says which it does
    wanted = "there is no [[client]] whose tokens are not bound to a key"  # said where no client suits
    insecure = False  # certificates are checked
    keeps_tokens = False  # whether it sends a token more than once whatever `--tokens` says

    def __init__(self, environment: Any) -> None:
        self.shared: Run = plugin.current_run()
        self.ssl_context_factory = lambda **_: self.shared.tls
        super().__init__(environment)
        self._arrival_tasks: list[Any] = self.tasks
        self._next: float | None = None  # when the next task is due, in the closed model
        open_model = self.shared.rate is not None
        if open_model:
            self.tasks = [Client._await_arrivals]
        # One at a time, and a renewal beside it; in the open model as many as come.
        self.sender = Sender(self.shared.tls, most=most_connections() if open_model else 2, timeout=_TIMEOUT)

    @classmethod
    def suits(cls, client: Described) -> bool:
        """Whether it can be that client of the target file."""
        return not client.dpop

    @classmethod
    def roster(cls, run: Run) -> Roster:
        """The clients of the target file that it can be; made once, for thousands draw from it."""
        found = run.rosters.get(cls.__name__)
        if found is None:
            found = run.rosters[cls.__name__] = Roster(run.target, cls.suits)
        return found

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Why such a client cannot do its work against this target; empty when it can."""
        clients = cls.roster(run).clients
        if not clients:
            return cls.wanted
        elsewhere = any(client.issuer is not None for client in clients)
        if cls.grant_type and not elsewhere and not run.endpoints.offers(cls.grant_type):
            return f"the issuer's metadata does not offer the grant {cls.grant_type}"
        return ""

    @classmethod
    def rehearse(cls, run: Run) -> None:
        """Read whatever it will need, before any load. Raises BadInputError."""
        if run.bears_ready:
            run.ready_token()
        for client in cls.roster(run).clients:
            for number in sorted({1, client.count}):  # of many the first and the last, for reading takes its time
                run.identity(client.numbered(number))
            run.target.require_files(client)

    @cached_property
    def number(self) -> int:
        """Of this simulated client, from 0: no other has it."""
        return plugin.next_number()

    @cached_property
    def identity(self) -> ClientIdentity:
        """Which client of the target file it is."""
        roster = self.roster(self.shared)
        return plugin.identity(roster.client(self.number), roster.size)

    @cached_property
    def asking(self) -> ClientCredentials:
        """How it gets a token in its own name."""
        return ClientCredentials(self.identity)

    @cached_property
    def asserting(self) -> JwtBearer:
        """How it gets a token for an assertion about itself, or about a subject that no other has."""
        subject = self.identity.client.subject or ""
        return JwtBearer(self.identity, subject.replace(NUMBER, str(self.number + 1)))

    @cached_property
    def calls(self) -> list[Call]:
        """The resources that it can call, with its certificate where it has one."""
        identity = None if self.shared.bears_ready else self.identity
        places = self.places(self.shared, identity.client if identity is not None else None)
        return [Call(place, identity.tls if identity is not None else None) for place in places]

    @classmethod
    def places(cls, run: Run, client: Described | None) -> list[Resource]:
        """The resources that it can call; those that take a token once only, if it has a fresh one for each call."""
        fresh = run.reuse is Reuse.FRESH and not cls.keeps_tokens
        return [place for place in run.target.resources_for(client) if fresh or not place.one_time]

    @cached_property
    def _issuer(self) -> str:
        shared = self.shared
        return shared.endpoints.issuer if shared.bears_ready else self.identity.endpoints.issuer

    @cached_property
    def _call_weights(self) -> list[int]:
        return [call.resource.weight for call in self.calls]

    def prepare(self) -> bool:
        """Get what is needed before the first arrival; False when it is not to be had now."""
        return True

    def arrive(self) -> None:
        """Do one task, in a greenlet of its own, because a request is due."""
        try:
            random.choice(self._arrival_tasks)(self)  # noqa: S311 - not a secret
        except StopUser:
            return
        except Exception as error:  # noqa: BLE001 - whatever a task raises, the run must not pass for whole
            self.shared.fitness.broke(error)

    def wait_time(self) -> float:
        """Seconds until the next task, so that the client keeps its rate, and all together the target's limit."""
        if self.shared.rate is not None:
            return _FOR_EVER
        runner = self.environment.runner
        users = runner.user_count if runner is not None else 1
        now, pace = time.perf_counter(), self.shared.pace(users)
        if self._next is None:
            self._next = now + random.uniform(0, min(pace, _SPREAD))  # noqa: S311 - not a secret
        else:
            self._next = max(now, self._next + pace)
        return self._next - now

    def on_start(self) -> None:
        """Get out of step: Locust starts many at once, who would else all send at the same moments for ever."""
        if self.shared.rate is None:
            gevent.sleep(self.wait_time())

    def start(self, group: Any) -> Any:
        """Locust's own, when the load may begin."""
        plugin.await_go()
        assert self.shared.bears_ready or self.identity  # read, and signing, before the first request
        greenlet = super().start(group)
        greenlet.link(lambda _: self.sender.close())
        return greenlet

    def stop(self, force: bool = False) -> Any:
        """Locust's own; nothing arrives for a client that stops."""
        plugin.leave(self)
        return super().stop(force)

    def send(
        self, name: str, case: str, resource: str, expected: Expected, request: Request, flow: Any, kid: str = ""
    ) -> tuple[Response, Verdict]:
        """Send, let the flow judge, and count. Locust's failures are wrong verdicts and errors, nothing else.

        The latency of the first request of an arrival counts from when it was due. kid: of the key that signed.
        """
        due = take_due()
        if due is None and plugin.draining():
            raise StopUser
        shared = self.shared
        started = time.perf_counter()
        try:
            response = self.sender.send(request)
        except gevent.GreenletExit:
            shared.fitness.unanswered += 1
            raise
        latency = time.perf_counter() - (started if due is None else due)
        if due is not None:
            shared.fitness.started(started - due)
        judged: Judgement = flow.judge(response)
        verdict = judged.verdict
        if response.error in TROUBLE:
            shared.fitness.trouble[response.error] = shared.fitness.trouble.get(response.error, 0) + 1
        shared.board.add(Tally(name, case, resource, expected, verdict), latency, (self._issuer, kid))
        failure = (
            None
            if held(expected, verdict)
            else CatchResponseError(f"{case} token {verdict}, expected {expected} ({judged.remark})")
        )
        self.environment.events.request.fire(
            request_type=request.method,
            name=f"{name} {resource} {case}",
            response_time=latency * 1e3,
            response_length=len(response.body),
            exception=failure,
            context={},
            response=None,
            url=request.url,
        )
        return response, verdict

    def ask(self, flow: ClientCredentials | JwtBearer) -> Grant | None:
        """Ask the issuer for a token. Ends the client when the target file's limit of tokens is reached."""
        return self.grant(flow, flow.request)

    def grant(
        self,
        flow: TokenFlow,
        build: Callable[[], Request],
        case: str = VALID,
        expected: Expected = Expected.ACCEPTED,
    ) -> Grant | None:
        """As `ask`, by the request that `build` makes, which may rightly be refused."""
        if not self.shared.ask_token():
            self.shared.fitness.stop_because("limits.tokens of the target file is used up: raise it, or send less")
            raise StopUser
        try:
            request = build()
        except DryError:
            self.shared.fitness.miss(Missed.NOT_SIGNED)
            return None
        response, verdict = self.send(flow.name, case, "token endpoint", expected, request, flow)
        return flow.grant(response) if verdict is Verdict.ACCEPTED else None

    def _await_arrivals(self) -> None:
        while not self.prepare():
            gevent.sleep(_RETRY)
        plugin.enter(self)


class TokenHolder(Client):
    """A client that calls resources with tokens: one held until near its expiry, or as `--tokens` says."""

    calls_resources = True

    abstract = True

    @classmethod
    def impossible(cls, run: Run) -> str:
        """Without a resource that its client can call there is nothing to do. A ready token does for a client."""
        clients = (None,) if run.bears_ready else cls.roster(run).clients
        if cls.calls_resources and any(not cls.places(run, client) for client in clients):
            return (
                "there is no [[resource]] that its client can call (those with mtls want a certificate, those with "
                "one_time --tokens fresh)"
            )
        return "" if run.bears_ready and cls.calls_resources else super().impossible(run)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._own = Holding()
        self._cases = list(self.shared.mix)
        self._weights = list(self.shared.mix.values())

    def prepare(self) -> bool:
        """Get the first token."""
        return self._holding().token(self._ask) is not None

    def held(self) -> str | None:
        """The token in force, got first where there is none; None while the issuer gives none."""
        return self._holding().token(self._ask)

    def pick_case(self) -> Case:
        """A case, as often as `--cases` asks for it."""
        if len(self._cases) == 1:
            return self._cases[0]
        return random.choices(self._cases, self._weights)[0]  # noqa: S311 - not a secret

    def pick_bad_case(self) -> Case | None:
        """Any case of the corpus that must be refused and that can be made for this target; None without a token."""
        token = self.held()
        if token is None:
            return None
        if self.shared.corpus is None:
            self.shared.corpus = self.shared.makeable(token)
        return random.choice(self.shared.corpus)  # noqa: S311 - not a secret

    def pick_call(self) -> Call:
        """One of the target's resources, as often as its weight."""
        return random.choices(self.calls, self._call_weights)[0]  # noqa: S311 - not a secret

    def call(self, call: Call, case: Case) -> None:
        """Call the resource with a token of that case; without a token, get one first."""
        holding = self._holding()
        token = holding.token(self._ask)
        if token is None:
            self.shared.fitness.miss(Missed.NO_TOKEN)
            return
        kid = holding.kid
        if self.shared.reuse is Reuse.FRESH:
            fresh = self._fresh(token)
            if fresh is None:
                return
            token, kid, holding = fresh, kid_of(fresh), Holding()
        if case.id != VALID:
            try:
                token = holding.forged(case, call.material(token, self.shared.signer, self.shared.jwks))
            except NotApplicableError as error:
                self.shared.fitness.stop_because(f"--cases {case.id}: {error}")
                raise StopUser from None
        request = call.request(token, case.carrier)
        self.send(call.name, case.id, call.resource.label, case.expected, request, call, kid)

    def _holding(self) -> Holding:
        return plugin.pooled_holding() or self._own

    def _ask(self) -> Grant | None:
        if self.shared.bears_ready:
            return Grant(self.shared.ready_token(), READY_SECONDS)
        try:
            return self.ask(self.asking)
        except StopUser:
            return None

    def _fresh(self, genuine: str) -> str | None:
        """A token that nobody has used: minted where we may hold the signing key, else asked for."""
        if self.shared.signer is None:
            grant = self._ask()
            return grant.token if grant is not None else None
        try:
            return plugin.minted(genuine).take()
        except DryError:
            self.shared.fitness.miss(Missed.NOT_SIGNED)
            return None
