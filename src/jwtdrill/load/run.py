"""One load run: its target, what was drawn from it, and what may be asked of it. Knows nothing of Locust."""

import math
import random
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from jwtdrill.catalog.objectives import Objective, objectives
from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.flows.token import ClientIdentity, signer_of
from jwtdrill.load.arrivals import Rate, Spacing
from jwtdrill.load.fitness import Fitness
from jwtdrill.load.roster import Roster
from jwtdrill.load.scoreboard import Scoreboard
from jwtdrill.target.discovery import Endpoints, discover, require_keys
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Client, Target
from jwtdrill.tokens.cases import CASES, Case, History, Need, NotApplicableError, Subject, parse_mix
from jwtdrill.tokens.minter import Minter

_MOST_POOLED = 100_000
READY_SECONDS = 20.0  # for which a ready token is borne


class Reuse(StrEnum):
    """How long an access token is used: by one client until near its expiry, by all from a pool, or once."""

    CLIENT = "client"
    POOL = "pool"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for, as it was written.

    throughput: requests/s of each simulated client of the closed model; rate: of all together, of the open one.
    """

    target: str
    cases: str = "valid"
    throughput: float = 10.0
    rate: str = ""
    arrivals: str = Spacing.POISSON
    tokens: str = Reuse.CLIENT
    seed: int | None = None
    stop_lost: int = 0
    report: Path | None = None


@dataclass
class Run:
    """Everything that the clients of one process share."""

    options: Options
    target: Target
    endpoints: Endpoints
    objectives: tuple[Objective, ...]
    signer: Minter | None
    jwks: tuple[Mapping[str, Any], ...]
    tls: ssl.SSLContext
    mix: dict[Case, int] = field(default_factory=dict)
    throughput: float = 1.0
    rate: Rate | None = None
    spacing: Spacing = Spacing.POISSON
    reuse: Reuse = Reuse.CLIENT
    pooled: int = 0
    share: float = 1.0  # of the target's limit of rate that this process may use now
    token_share: float = 1.0  # of its limit of tokens: fixed at the beginning, so that it holds whoever dies
    board: Scoreboard = field(default_factory=Scoreboard)
    fitness: Fitness = field(default_factory=Fitness)
    tokens_asked: int = 0
    corpus: list[Case] | None = None
    rosters: dict[str, Roster] = field(default_factory=dict)  # of each kind of simulated client
    ready: tuple[str, float] = ("", 0.0)  # the token, and when it is to be read again
    looking: int = 0  # clients that look again and again whether a revoked token is refused
    others: dict[str, Endpoints] = field(default_factory=dict)  # of issuers beside the target file's
    started: float = field(default_factory=time.time)

    def configure(self, options: Options) -> None:
        """Take what to send and how, at the beginning or from the web UI's form. Raises BadInputError."""
        if not 0 < options.throughput < math.inf:
            raise BadInputError(f"--throughput must be more than 0, not {options.throughput:g}")
        rate = Rate.parse(options.rate) if options.rate else None
        limit = self.target.limits.rate
        if rate is not None and rate.peak > limit:
            raise BadInputError(
                f"--rate {options.rate}: reaches {rate.peak:g} requests/s, and {self.target.path} allows {limit:g} "
                "(rate under [limits])"
            )
        reuse, pooled = _parse_reuse(options.tokens)
        self.require_tokens(pooled, f"--tokens {options.tokens}")
        spacing = _parse_spacing(options.arrivals)
        mix = parse_mix(options.cases)
        for case in mix:
            if Need.SIGNER in case.needs and self.signer is None:
                raise BadInputError(f"{self.target.path}: case {case.id} needs a [[signer]], and the file has none")
            if Subject.ACCESS_TOKEN not in case.fits or case.history is not History.NONE:
                raise BadInputError(
                    f"case {case.id} is of no access token: `jwtdrill attack` sends it where it belongs"
                )
            calls = [Call(resource) for resource in self.target.places]
            why = next(filter(None, (case.debatable(call.material("")) for call in calls)), "")
            if why:
                raise BadInputError(
                    f"case {case.id}: either verdict is right ({why}): `jwtdrill attack` reports what comes"
                )
        self.options, self.mix, self.throughput = options, mix, options.throughput
        self.rate, self.spacing, self.reuse, self.pooled = rate, spacing, reuse, pooled

    def require_tokens(self, count: int, what: str) -> None:
        """Raises BadInputError where so many tokens are more than the target file allows."""
        if count > self.target.limits.tokens:
            raise BadInputError(
                f"{what}: needs {count} tokens, and {self.target.path} allows {self.target.limits.tokens} "
                "(tokens under [limits])"
            )

    def begin(self) -> None:
        """Forget what an earlier load of this process saw."""
        self.board = Scoreboard()
        self.fitness = Fitness()
        self.tokens_asked = 0
        self.started = time.time()

    def dice(self, process: int) -> random.Random | None:
        """What Poisson arrivals are drawn with in that process; None where arrivals are evenly spread."""
        if self.spacing is Spacing.CONSTANT:
            return None
        seed = self.options.seed
        return random.Random(None if seed is None else f"{seed}/{process}")  # noqa: S311 - not a secret

    def pace(self, users: int) -> float:
        """Seconds from one request of a client to its next, with so many clients here: as asked, within the limit."""
        return max(1 / self.throughput, users / (self.target.limits.rate * self.share))

    @property
    def spare_rate(self) -> float:
        """Requests/s that may be sent beside those that are asked for, in this process."""
        planned = self.rate.peak if self.rate is not None else self.target.limits.rate / 2
        return max(1.0, self.target.limits.rate - planned) * self.share

    def makeable(self, genuine: str) -> list[Case]:
        """The cases that every resource must refuse and that can be made from such a token."""
        materials = [Call(resource).material(genuine, self.signer, self.jwks) for resource in self.target.places]

        def fits(case: Case) -> bool:
            if case.reason is None or case.history is not History.NONE or Subject.ACCESS_TOKEN not in case.fits:
                return False
            if any(case.missing(material) or case.debatable(material) for material in materials):
                return False
            try:
                return all(case.forge(material) is not None for material in materials)
            except NotApplicableError:
                return False

        return [case for case in CASES.values() if fits(case)]

    def identity(self, client: Client) -> ClientIdentity:
        """That client with its credential read. Raises BadInputError, MissingPartError."""
        endpoints = self.endpoints
        if client.issuer is not None:
            if client.issuer not in self.others:
                self.others[client.issuer] = discover(self.target, client.issuer)
            endpoints = self.others[client.issuer]
        return ClientIdentity(client, self.target, endpoints)

    @property
    def bears_ready(self) -> bool:
        """Whether there is no client, and ready tokens do for one."""
        return bool(self.target.token) and not self.target.client

    def ready_token(self) -> str:
        """The ready token; read again now and then, for a command may give a fresh one. Raises BadInputError."""
        if time.monotonic() >= self.ready[1]:
            self.ready = (self.target.read_token(self.target.token[0].value), time.monotonic() + READY_SECONDS / 2)
        return self.ready[0]

    def ask_token(self) -> bool:
        """Whether one more token may be asked of the issuer; it is counted."""
        if self.tokens_asked >= self.target.limits.tokens * self.token_share:
            return False
        self.tokens_asked += 1
        return True


def prepare(options: Options) -> Run:
    """Read and check everything before any load. Raises BadInputError, MissingPartError."""
    target = load_target(options.target)
    target.refuse_production("load")
    wanted = objectives(target.objectives_path)
    endpoints = discover(target)
    run = Run(
        options=options,
        target=target,
        endpoints=endpoints,
        objectives=wanted,
        signer=signer_of(target),
        jwks=require_keys(target, endpoints),
        tls=tls_context(target),
    )
    run.configure(options)
    return run


def _parse_reuse(text: str) -> tuple[Reuse, int]:
    if found := re.fullmatch(r"pool:(\d{1,6})", text):
        size = int(found[1])
        if 0 < size <= _MOST_POOLED:
            return Reuse.POOL, size
    if text in (Reuse.CLIENT, Reuse.FRESH):
        return Reuse(text), 0
    raise BadInputError(f"--tokens {text}: choose client, fresh or pool:N (N from 1 to {_MOST_POOLED})")


def _parse_spacing(text: str) -> Spacing:
    if text not in set(Spacing):
        raise BadInputError(f"--arrivals {text}: choose {_either(Spacing)}")
    return Spacing(text)


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
