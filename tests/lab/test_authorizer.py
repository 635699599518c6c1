"""An authorizer's answer stands for its time to live; its function starts cold when it was not called for long."""

import asyncio
import json
from collections.abc import Sequence

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.conftest import FakeClock, MakeServer
from tests.lab.conftest import ROUTE, guard, token_of

from jwtdrill.catalog.reasons import Reason
from jwtdrill.lab import authorizer
from jwtdrill.lab.authorizer import AnswerCache, Function, build
from jwtdrill.lab.settings import AuthorizerSettings
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.verify import Claims, VerificationError
from jwtdrill.verify.verifier import Check

ES256 = Algorithm.ES256


class Behind:
    """Counts what it is asked; refuses when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = False

    async def averify(self, token: str, *, once: bool = False, check: Check | None = None) -> Claims:
        self.asked.append(token)
        if self.refuses:
            raise VerificationError(Reason.EXPIRED, "its time is over")
        return {"sub": token}


def ask(cache: AnswerCache, *tokens: str) -> list[Claims]:
    async def all_of_them() -> list[Claims]:
        return [await cache.averify(token) for token in tokens]

    return asyncio.run(all_of_them())


def test_an_acceptance_stands_for_its_time_to_live_whatever_becomes_of_the_token(clock: FakeClock) -> None:
    behind = Behind()
    cache = AnswerCache(behind, 5, clock)
    assert ask(cache, "a", "b", "a") == [{"sub": "a"}, {"sub": "b"}, {"sub": "a"}]
    assert behind.asked == ["a", "b"]
    behind.refuses = True
    clock.pass_(4.9)
    assert ask(cache, "a") == [{"sub": "a"}]
    clock.pass_(0.2)
    with pytest.raises(VerificationError):
        ask(cache, "a")


def test_a_use_does_not_lengthen_it(clock: FakeClock) -> None:
    behind = Behind()
    cache = AnswerCache(behind, 5, clock)
    for _ in range(4):
        ask(cache, "a")
        clock.pass_(2)
    assert behind.asked == ["a", "a"]


def test_a_refusal_is_not_kept(clock: FakeClock) -> None:
    behind = Behind()
    cache = AnswerCache(behind, 5, clock)
    behind.refuses = True
    with pytest.raises(VerificationError):
        ask(cache, "a")
    behind.refuses = False
    assert ask(cache, "a") == [{"sub": "a"}]


def test_answers_are_bounded_in_number(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer, "_MOST_ANSWERS", 2)
    behind = Behind()
    cache = AnswerCache(behind, 5, clock)
    ask(cache, "a", "b", "c", "c", "b", "a")
    assert behind.asked == ["a", "b", "c", "a"]
    assert len(cache._kept) == 2


def settings(jwks_uri: str, idle: float = 10) -> AuthorizerSettings:
    return AuthorizerSettings(guard(jwks_uri), ttl=5, idle=idle, start_seconds=0.15)


def key_set(keys: Sequence[SigningKey]) -> bytes:
    return json.dumps(jwks(keys)).encode()


def test_the_function_starts_cold_after_idle_time_and_only_then(
    clock: FakeClock, make_server: MakeServer, keys: dict[Algorithm, SigningKey]
) -> None:
    """Each start takes its time, fetches keys anew, and counts from nothing."""
    server = make_server(key_set([keys[ES256]]))
    starts: list[float] = []

    async def sleep(seconds: float) -> None:
        starts.append(seconds)

    async def scene() -> None:
        function = Function(settings(server.url), clock, sleep)
        registry = CollectorRegistry()
        registry.register(function)
        assert b"jwt_" not in generate_latest(registry)
        await asyncio.gather(*(function.averify(token_of(keys[ES256])) for _ in range(5)))
        assert starts == [0.15]
        clock.pass_(9)
        await function.averify(token_of(keys[ES256]))
        clock.pass_(9)
        await function.averify(token_of(keys[ES256]))
        assert (starts, len(server.agents)) == ([0.15], 1)
        assert _accepted(registry) == 7
        first = function._instance
        clock.pass_(11)
        await function.averify(token_of(keys[ES256]))
        assert (starts, len(server.agents)) == ([0.15, 0.15], 2)
        assert _accepted(registry) == 1
        server.status = 503
        clock.pass_(11)
        with pytest.raises(VerificationError) as refused:  # warm, it would have gone on with the keys on hand
            await function.averify(token_of(keys[ES256]))
        assert refused.value.reason is Reason.KEY_UNAVAILABLE
        assert first is not None
        assert first.cache._thread is not None
        first.cache._thread.join(5)
        assert not first.cache._thread.is_alive()

    asyncio.run(scene())


def _accepted(registry: CollectorRegistry) -> float:
    return sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "jwt_verification_total" and sample.labels["result"] == "success"
    )


def test_the_front_counts_requests_and_shows_the_functions_metrics(
    make_server: MakeServer, keys: dict[Algorithm, SigningKey]
) -> None:
    server = make_server(key_set([keys[ES256]]))

    async def scene() -> None:
        transport = httpx.ASGITransport(build(settings(server.url)))
        async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
            bearer = {"Authorization": f"Bearer {token_of(keys[ES256])}"}
            assert [(await client.get(ROUTE, headers=bearer)).status_code for _ in range(3)] == [200] * 3
            assert (await client.get(ROUTE)).status_code == 401
            text = (await client.get("/metrics")).text
        assert 'jwt_protected_requests_total{client="c",code="200",route="/orders"} 3.0' in text
        assert f'kid="{keys[ES256].kid}",reason="",result="success"}} 1.0' in text

    asyncio.run(scene())
    assert set(server.agents) == {"jwtdrill-verifier/guard"}
