"""The attack says what a broken verifier does, is silent of a correct one, and claims nothing that it cannot know."""

import asyncio
import base64
import contextlib
import json
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree

import httpx
import pytest
from tests.probe.flawed import FLAWS, FlawedVerifier

from jwtdrill.flows.call import Call
from jwtdrill.probe.attack import Assault, Outcome, Plan, attack
from jwtdrill.probe.findings import to_json, to_junit
from jwtdrill.probe.genuine import Allowance
from jwtdrill.probe.grounds import AtResource
from jwtdrill.target.model import Resource
from jwtdrill.tokens.cases import CASES, Case, History, Material, Need, Subject
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter

ISSUER, AUDIENCE, SCOPE, TYPES = "https://idp.example/realm", "https://orders.example", "orders:read", ("at+jwt",)
KEYS = {alg: SigningKey.generate(alg) for alg in (Algorithm.RS256, Algorithm.ES256)}
RESOURCE = Resource(url="http://api.example/orders", audience=AUDIENCE, scope=SCOPE, types=TYPES, name="orders")
FOR_RESOURCES = [case for case in CASES.values() if Subject.ACCESS_TOKEN in case.fits and case.history is History.NONE]


@dataclass
class Staging:
    """A target in one process: real requests and answers, without a network between."""

    key: SigningKey
    flaws: tuple[str, ...] = ()
    signer: bool = True
    published: bool = True
    app: object = None
    resource: Resource = RESOURCE

    def attack(self, cases: Iterable[Case] = FOR_RESOURCES, rate: float = 1e6) -> Assault:
        minter = Minter(self.key)
        app = self.app or FlawedVerifier(self.key, ISSUER, AUDIENCE, SCOPE, TYPES, *self.flaws)
        jwks = (self.key.public_jwk(),) if self.published else ()

        async def token(fresh: bool) -> str:
            return minter.mint(Claims.lasting(300, now=time.time(), iss=ISSUER, sub="user", aud=AUDIENCE, scope=SCOPE))

        ground = AtResource(Call(self.resource), token, minter if self.signer else None, jwks)

        async def run() -> Assault:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport) as client:
                return await attack(Plan([ground], list(cases), rate=rate, asks=Allowance(0)), client)

        return asyncio.run(run())


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.alg)
def test_of_a_correct_verifier_nothing_is_said(key: SigningKey) -> None:
    assault = Staging(key).attack()
    assert assault.held
    assert not assault.of(Outcome.FALSE_ACCEPT, Outcome.FALSE_REJECT, Outcome.FOLLOWED, Outcome.CANNOT_TELL)
    assert len(assault.of(Outcome.HELD)) > 230
    assert {attempt.case.id for attempt in assault.attempts} == {case.id for case in FOR_RESOURCES}


@cache
def assaulted(flaw: str) -> Assault:
    ecdsa = "ecdsa" in flaw or "der" in flaw.split("_")
    return Staging(KEYS[Algorithm.ES256 if ecdsa else Algorithm.RS256], (flaw,)).attack()


QUICK = (
    "accepts_none",
    "mac_with_public_key",
    "ignores_signature",
    "follows_urls",
    "ignores_exp",
    "token_in_query",
    "follows_issuer",
)


@pytest.mark.parametrize(
    "flaw", [pytest.param(flaw, marks=() if flaw in QUICK else pytest.mark.slow) for flaw in FLAWS]
)
def test_each_flaw_is_found_and_only_bad_tokens_are_called_bad(flaw: str) -> None:
    assault = assaulted(flaw)
    for attempt in assault.of(Outcome.FALSE_ACCEPT):
        assert attempt.case.reason is not None
        assert attempt.status == 200
    assert not assault.of(Outcome.FALSE_REJECT)
    assert assault.of(Outcome.FALSE_ACCEPT, Outcome.REMARK)


@pytest.mark.slow
def test_all_bad_cases_are_called_bad_somewhere() -> None:
    """Over all flaws, every case that must be refused was let in once, and the attack said so."""
    everything = [assaulted(flaw) for flaw in FLAWS] + [Staging(KEYS[Algorithm.ES256], ("ignores_signature",)).attack()]
    told = {a.case.id for assault in everything for a in assault.of(Outcome.FALSE_ACCEPT, Outcome.REMARK)}
    assert {case.id for case in FOR_RESOURCES if case.reason is not None} <= told


def test_a_resource_that_refuses_everything_is_not_safe_but_unknown() -> None:
    async def closed(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    assault = Staging(KEYS[Algorithm.ES256], app=closed).attack()
    assert not assault.held
    assert not assault.of(Outcome.HELD)
    assert "a good token is not accepted" in assault.untold["orders"]


def test_a_resource_that_asks_for_no_token_is_said_to() -> None:
    assault = Staging(KEYS[Algorithm.ES256], ("asks_for_no_token",)).attack()
    assert [a.case.id for a in assault.of(Outcome.FALSE_ACCEPT)] == ["no_token"]
    assert assault.untold["orders"].startswith("it asks for no token")


def test_a_resource_that_dies_on_the_way_proves_nothing_from_there_on() -> None:
    """It locks everybody out after a hundred requests: what it refused since the last good token is no merit."""
    right = FlawedVerifier(KEYS[Algorithm.ES256], ISSUER, AUDIENCE, SCOPE, TYPES)
    count = 0

    async def dying(scope: object, receive: object, send: object) -> None:
        nonlocal count
        count += 1
        if count <= 100:
            await right(scope, receive, send)  # type: ignore[arg-type]
        else:
            await send({"type": "http.response.start", "status": 401, "headers": []})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    assault = Staging(KEYS[Algorithm.ES256], app=dying).attack()
    assert not assault.held
    assert 60 < len(assault.of(Outcome.HELD)) <= 100
    assert len(assault.of(Outcome.CANNOT_TELL)) > 100


@pytest.mark.parametrize(("signer", "published"), [(False, True), (False, False)])
def test_without_a_signer_each_case_says_what_it_needs(signer: bool, published: bool) -> None:
    assault = Staging(KEYS[Algorithm.RS256], signer=signer, published=published).attack()
    assert assault.held
    there = Material("any", Minter(KEYS[Algorithm.RS256]) if signer else None, jwks=({},) if published else ())
    for attempt in assault.attempts:
        missing = attempt.case.missing(there)
        assert (
            (attempt.outcome is Outcome.NOT_RUN) == (missing is not None)
            or "are signed with" in attempt.note
            or ("not signed with ECDSA" in attempt.note or "spare bits" in attempt.note)
        )
        if missing is Need.SIGNER:
            assert "[[signer]]" in attempt.note
    assert len(assault.of(Outcome.HELD)) > 120


def test_a_verifier_that_fetches_what_a_header_names_is_seen_even_if_it_refuses() -> None:
    class Curious(FlawedVerifier):
        def refusal(self, token: str) -> str:
            with contextlib.suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
                header = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
                urllib.request.urlopen(header["jku"], timeout=1).read()
            return super().refusal(token)

    curious = Curious(KEYS[Algorithm.ES256], ISSUER, AUDIENCE, SCOPE, TYPES)
    assault = Staging(KEYS[Algorithm.ES256], app=curious).attack()
    assert {a.case.id for a in assault.of(Outcome.FOLLOWED)} == {
        "jku_header",
        "jku_header_issuer_in_path",
        "jku_header_issuer_in_query",
        "jku_header_issuer_in_fragment",
    }
    assert not assault.held


def test_patience_is_given_and_then_nothing_is_claimed() -> None:
    right = FlawedVerifier(KEYS[Algorithm.ES256], ISSUER, AUDIENCE, SCOPE, TYPES)
    count = 0

    async def throttling(scope: object, receive: object, send: object) -> None:
        nonlocal count
        count += 1
        if count % 2:
            headers = [(b"retry-after", b"0")]
            await send({"type": "http.response.start", "status": 429, "headers": headers})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]
        else:
            await right(scope, receive, send)  # type: ignore[arg-type]

    assault = Staging(KEYS[Algorithm.ES256], app=throttling).attack()
    assert assault.held
    assert not assault.of(Outcome.CANNOT_TELL)


@pytest.mark.parametrize(("status", "told"), [(500, False), (404, False), (401, True)])
def test_errors_in_the_place_of_refusals_are_not_safe_but_unknown(status: int, told: bool) -> None:
    """A server that breaks on bad tokens has refused none of them."""
    right = FlawedVerifier(KEYS[Algorithm.ES256], ISSUER, AUDIENCE, SCOPE, TYPES)

    async def breaking(scope: object, receive: object, send: object) -> None:
        async def changed(message: dict[str, object]) -> None:
            if message.get("status") == 401:
                message["status"] = status
            await send(message)  # type: ignore[operator]

        await right(scope, receive, changed)  # type: ignore[arg-type]

    assault = Staging(KEYS[Algorithm.ES256], app=breaking).attack()
    assert assault.held is told
    assert told or "by rejects in the target file" in assault.untold["orders"]
    assert not assault.bad


def test_a_place_that_locks_us_out_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jwtdrill.probe.attack._PATIENCE", 0)
    right = FlawedVerifier(KEYS[Algorithm.ES256], ISSUER, AUDIENCE, SCOPE, TYPES)
    count = 0

    async def locking(scope: object, receive: object, send: object) -> None:
        nonlocal count
        count += 1
        if count <= 20:
            await right(scope, receive, send)  # type: ignore[arg-type]
        else:
            headers = [(b"retry-after", b"0")]
            await send({"type": "http.response.start", "status": 429, "headers": headers})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    assault = Staging(KEYS[Algorithm.ES256], app=locking).attack()
    assert count < 30
    assert not assault.held
    assert "patience" in assault.untold["orders"]


def test_an_introspection_endpoint_knows_what_its_issuer_has_revoked() -> None:
    """There nothing leaves room: a revoked token that is called active is a false accept."""
    revoked = CASES["revoked"]
    assert revoked.debatable(Material("t"))
    assert not revoked.debatable(Material("t", known_revoked=True))


def test_no_more_is_sent_in_a_second_than_the_target_file_allows() -> None:
    """A lower bound on time, which no machine is too slow for."""
    cases = [case for case in FOR_RESOURCES if case.family == "alg_none"]
    assault = Staging(KEYS[Algorithm.ES256]).attack(cases, rate=20)
    assert sum(attempt.verdict is not None for attempt in assault.attempts) > 10
    assert assault.seconds > len(cases) / 20


def test_the_report_holds_what_is_needed_to_repeat_and_no_token() -> None:
    staging = Staging(KEYS[Algorithm.ES256], ("accepts_none",))
    assault = staging.attack()
    content = to_json(assault, "staging.toml")
    text = json.dumps(content)
    assert "eyJ" not in text
    assert {entry["case"] for entry in content["findings"]} >= {"alg_none"}
    finding = next(entry for entry in content["findings"] if entry["case"] == "alg_none")
    assert finding["severity"] == "critical"
    assert finding["repeat"] == "jwtdrill attack staging.toml --case alg_none"
    assert sum(tally["count"] for tally in content["tallies"]) == sum(a.verdict is not None for a in assault.attempts)
    suites = ElementTree.fromstring(to_junit(assault, "staging.toml"))
    assert len(suites.findall(".//testcase")) == len(assault.attempts)
    assert len(suites.findall(".//failure")) == len(content["findings"])
    assert b"eyJ" not in to_junit(assault, "staging.toml")


class Nodes:
    """A resource that takes a token once, at two nodes that tell each other of it, or not."""

    def __init__(self, key: SigningKey, shared: bool) -> None:
        self.right = FlawedVerifier(key, ISSUER, AUDIENCE, SCOPE, TYPES)
        together: set[str] = set()
        self.used = {"api": together, "other": together if shared else set()}

    async def __call__(self, scope: dict[str, object], receive: object, send: object) -> None:
        headers = dict(scope["headers"])  # type: ignore[call-overload]
        used = self.used[headers[b"host"].decode().split(".")[0]]
        token = headers.get(b"authorization", b"").decode().partition(" ")[2]
        good = token not in used and not self.right.refusal(token)
        used.add(token)
        await send({"type": "http.response.start", "status": 200 if good else 401, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]


@pytest.mark.parametrize("shared", [True, False])
def test_a_token_used_at_one_node_is_refused_at_the_others(shared: bool) -> None:
    resource = RESOURCE.model_copy(update={"one_time": True, "nodes": ("http://other.example/orders",)})
    key = KEYS[Algorithm.ES256]
    assault = Staging(key, app=Nodes(key, shared), resource=resource).attack([CASES["replayed"]])
    [attempt] = [attempt for attempt in assault.attempts if attempt.case.id == "replayed"]
    assert attempt.outcome is (Outcome.HELD if shared else Outcome.FALSE_ACCEPT)
    assert shared or "at http://other.example/orders" in attempt.note


def test_the_nodes_of_a_resource_are_places_of_their_own() -> None:
    resource = RESOURCE.model_copy(update={"nodes": ("http://other.example/orders",)})
    assert [place.label for place in resource.everywhere] == ["orders", "orders at other.example/orders"]
    assert [place.url for place in resource.everywhere] == [RESOURCE.url, "http://other.example/orders"]
