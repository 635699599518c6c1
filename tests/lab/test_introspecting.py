"""A resource that introspects goes by what the issuer says now, and says whose fault it is when it says nothing."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.lab.conftest import ISSUER, ROUTE, guard
from tests.lab.test_grants import Grants

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.lab.introspecting import Introspector
from jwtdrill.lab.resource import guarded
from jwtdrill.lab.settings import IntrospectionSettings
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Minter
from jwtdrill.verify import VerificationError

Answer = Callable[[httpx.Request], httpx.Response]


class Asked:
    """An introspector before an endpoint that the test directs, or before the lab's own issuer."""

    def __init__(self, transport: httpx.AsyncBaseTransport, timeout: float = 2, **more: Any) -> None:
        self.instruments = Instruments()
        self.settings = IntrospectionSettings(
            guard("http://unused", **more), f"{ISSUER}/introspect", "p", "", "jwtdrill-verifier/guard", timeout
        )
        self.introspector = Introspector(self.settings, self.instruments, "s:1", transport)

    def reason(self, token: str) -> Reason | None:
        try:
            asyncio.run(self.introspector.averify(token))
        except VerificationError as refusal:
            return refusal.reason
        return None

    def asked(self, error: str = "") -> float:
        labels = {"issuer": ISSUER, "result": "failure" if error else "success", "error": error}
        value = self.instruments.registry.get_sample_value
        counted = value("jwt_introspection_total", labels)
        assert counted == value("jwt_introspection_duration_seconds_count", labels)
        assert counted is not None
        return counted

    def verified(self, reason: str = "") -> float:
        labels = {"issuer": ISSUER, "audience": "https://api", "kid": "unknown", "alg": "unknown"}
        labels |= {"result": "failure" if reason else "success", "reason": reason}
        return self.instruments.registry.get_sample_value("jwt_verification_total", labels) or 0


def saying(**content: Any) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, json=content))


GOOD = {"active": True, "aud": "https://api", "scope": "other read"}


@pytest.fixture
def issuer(keys: dict[Algorithm, SigningKey]) -> Grants:
    return Grants(keys)


def test_the_labs_issuer_is_asked_and_its_word_counts(issuer: Grants, keys: dict[Algorithm, SigningKey]) -> None:
    asked = Asked(issuer._transport)
    token = str(issuer.bearer(issuer.assertion(), scope="read").json()["access_token"])
    assert asked.reason(token) is None
    assert issuer.as_client("/revoke", token=token).status_code == 200
    assert asked.reason(token) is Reason.BAD_SIGNATURE
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "s", "aud": "https://api", "scope": "read", "jti": "j", "iat": now}
    assert asked.reason(Minter(keys[Algorithm.RS256]).mint_payload(claims | {"exp": now - 5})) is Reason.EXPIRED
    assert asked.reason(Minter(keys[Algorithm.PS256]).mint_payload(claims | {"exp": now + 60})) is Reason.BAD_SIGNATURE
    assert asked.reason("no.token") is Reason.MALFORMED
    assert asked.reason("x" * 20_000) is Reason.TOO_LARGE  # and nobody is asked
    assert (asked.asked(), asked.verified(), asked.verified("bad_signature"), asked.verified("expired")) == (5, 1, 2, 1)


def test_audience_and_scope_are_the_resources_to_check() -> None:
    for content, reason in (
        (GOOD, None),
        (GOOD | {"aud": ["https://other", "https://api"]}, None),
        (GOOD | {"aud": "https://other"}, Reason.WRONG_AUDIENCE),
        (GOOD | {"aud": None}, Reason.WRONG_AUDIENCE),
        (GOOD | {"scope": "reader"}, Reason.INSUFFICIENT_SCOPE),
        (GOOD | {"scope": None}, Reason.INSUFFICIENT_SCOPE),
        (GOOD | {"active": False}, Reason.MALFORMED),
    ):
        assert Asked(saying(**content)).reason("t") is reason, content


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(500), "server_error"),
        (httpx.Response(200, text="<html>"), "server_error"),
        (httpx.Response(200, json=["active"]), "server_error"),
        (httpx.Response(200, json={"active": "true"}), "server_error"),
        (httpx.Response(200, json={"active": 1}), "server_error"),
        (httpx.Response(401, json={"error": "invalid_client"}), "invalid_client"),
        (httpx.Response(503, json={"error": "temporarily_unavailable"}), "temporarily_unavailable"),
        (httpx.Response(400, json={"error": ["x"]}), "server_error"),
    ],
)
def test_no_answer_is_the_services_fault_and_never_lets_in(answer: httpx.Response, error: str) -> None:
    asked = Asked(httpx.MockTransport(lambda _: answer))
    assert asked.reason("t") is Reason.KEY_UNAVAILABLE
    assert (asked.asked(error), asked.asked(), asked.verified("key_unavailable")) == (1, 0, 1)


def test_an_issuer_that_hangs_or_is_gone_is_not_waited_for() -> None:
    async def hangs(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(5)
        return httpx.Response(200, json=GOOD)

    asked = Asked(httpx.MockTransport(hangs), timeout=0.1)
    began = time.monotonic()
    assert asked.reason("t") is Reason.KEY_UNAVAILABLE
    assert time.monotonic() - began < 2
    assert asked.asked("temporarily_unavailable") == 1

    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    asked = Asked(httpx.MockTransport(gone))
    assert asked.reason("t") is Reason.KEY_UNAVAILABLE
    assert asked.asked("temporarily_unavailable") == 1


def test_the_resource_answers_503_and_names_itself_to_the_issuer() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500)

    asked = Asked(httpx.MockTransport(answer))
    application = guarded(asked.settings.guard, asked.introspector, asked.instruments)

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://x") as client:
            return await client.get(ROUTE, headers={"Authorization": "Bearer t"})

    assert asyncio.run(call()).status_code == 503
    [request] = seen
    assert request.headers["user-agent"] == "jwtdrill-verifier/guard"
    assert (request.headers["authorization"].startswith("Basic "), b"token=t&" in request.content) == (True, True)


def test_a_resource_that_the_issuer_does_not_know_lets_nobody_in(issuer: Grants) -> None:
    asked = Asked(issuer._transport)
    asked.introspector._client.auth = httpx.BasicAuth("p", "wrong")
    token = str(issuer.bearer(issuer.assertion(), scope="read").json()["access_token"])
    assert asked.reason(token) is Reason.KEY_UNAVAILABLE
    assert asked.asked("invalid_client") == 1
