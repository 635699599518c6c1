"""The simulated clients that locustfiles are made of. Each request is judged by its expected verdict."""

import random
import time
from collections.abc import Mapping
from typing import Any

from locust import FastHttpUser, constant_pacing
from locust.exception import StopUser

from jwtdrill.catalog.verdicts import Expected, Verdict, held
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Judgement, Request, Response
from jwtdrill.flows.token import ClientCredentials, Grant, JwtBearer
from jwtdrill.load import plugin
from jwtdrill.load.run import Run
from jwtdrill.load.scoreboard import Tally
from jwtdrill.tokens.cases import Case, Material

VALID = "valid"
_TIMEOUT = 10.0
_RENEW = (0.6, 0.85)  # share of a token's lifetime after which a client renews it: spread, as in a real fleet


class Client(FastHttpUser):
    """One client of the target, at the pace of `--throughput`."""

    abstract = True
    host = "http://target.invalid"  # every request has its own absolute URL
    insecure = False  # certificates are checked
    concurrency = 1
    max_redirects = 0  # a redirect is an answer to be judged
    max_retries = 0
    network_timeout = _TIMEOUT
    connection_timeout = _TIMEOUT

    def __init__(self, environment: Any) -> None:
        self.shared: Run = plugin.current_run()
        self.ssl_context_factory = lambda **_: self.shared.tls
        super().__init__(environment)
        # A status is judged by its flow; to Locust's client none is an error.
        vars(self.client.client)["valid_response_codes"] = frozenset(range(100, 600))

    def wait_time(self) -> float:
        """Seconds until the next task, so that the client keeps its rate, and all together the target's limit."""
        runner = self.environment.runner
        users = runner.user_count if runner is not None else 1
        wait: float = constant_pacing(self.shared.pace(users))(self)
        return wait

    def send(self, name: str, case: str, resource: str, expected: Expected, request: Request, flow: Any) -> Response:
        """Send, let the flow judge, and count. Locust's failures are wrong verdicts and errors, nothing else."""
        if plugin.draining():
            raise StopUser
        started = time.perf_counter()
        with self.client.request(
            request.method,
            request.url,
            name=f"{name} {resource} {case}",
            headers=dict(request.headers),
            data=request.body.decode() if request.body is not None else None,
            catch_response=True,
            allow_redirects=False,
        ) as answer:
            latency = time.perf_counter() - started
            response = _plain(answer)
            judged: Judgement = flow.judge(response)
            self.shared.board.add(Tally(name, case, resource, expected, judged.verdict), latency)
            if held(expected, judged.verdict):
                answer.success()
            else:
                answer.failure(f"{case} token {judged.verdict}, expected {expected} ({judged.remark})")
        return response

    def ask(self, flow: ClientCredentials | JwtBearer) -> Grant | None:
        """Ask the issuer for a token. Ends the client when the target file's limit of tokens is reached."""
        if not self.shared.ask_token():
            plugin.limit_reached("limits.tokens of the target file is used up")
            raise StopUser
        response = self.send(flow.name, VALID, "token endpoint", Expected.ACCEPTED, flow.request(), flow)
        return flow.grant(response) if flow.judge(response).verdict is Verdict.ACCEPTED else None


class TokenHolder(Client):
    """A client that holds a token until near its expiry and calls resources with it."""

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._grant: Grant | None = None
        self._renew_at = 0.0
        self._forged: dict[str, str] = {}
        self._cases = list(self.shared.mix)
        self._weights = list(self.shared.mix.values())

    def pick_case(self) -> Case:
        """A case, as often as `--cases` asks for it."""
        return random.choices(self._cases, self._weights)[0]  # noqa: S311 - not a secret

    def pick_call(self) -> Call:
        """One of the target's resources."""
        return random.choice(self.shared.calls)  # noqa: S311 - not a secret

    def call(self, call: Call, case: Case) -> None:
        """Call the resource with a token of that case; without a token, get one first."""
        token = self.token()
        if token is None:
            return
        if case.id != VALID:
            if case.id not in self._forged:
                self._forged[case.id] = case.forge(Material(token, self.shared.signer))
            token = self._forged[case.id]
        self.send(call.name, case.id, call.resource.label, case.expected, call.request(token), call)

    def token(self) -> str | None:
        """The token at hand, renewed before it runs out; None while the issuer gives none."""
        if self._grant is None or time.monotonic() >= self._renew_at:
            assert self.shared.client_credentials is not None
            fresh = self.ask(self.shared.client_credentials)
            if fresh is None:
                if time.monotonic() >= self._renew_at + (self._grant.lifetime * 0.1 if self._grant else 0):
                    self._grant = None
                return self._grant.token if self._grant else None
            self._grant = fresh
            self._forged.clear()
            # The first renewal comes at any time, so that tokens of all ages are about from the beginning.
            least, most = _RENEW if self._renew_at else (0.0, _RENEW[1])
            self._renew_at = time.monotonic() + fresh.lifetime * random.uniform(least, most)  # noqa: S311
        return self._grant.token


def _plain(answer: Any) -> Response:
    status = answer.status_code or 0
    # A body that breaks off leaves its status in place, and its error here alone.
    error = answer.error if status == 0 else answer.request_meta.get("exception")
    if status == 0 or error is not None:
        return Response(0, error=type(error).__name__ if error is not None else "no answer")
    headers: Mapping[str, str] = {name.lower(): value for name, value in (answer.headers or {}).items()}
    return Response(status, headers, answer.content or b"")
