"""The middleware answers as RFC 6750 says, and counts by template, status and known client."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.verify.conftest import ISSUER, Endpoint, MakeCache, good, verifier

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify import BearerMiddleware, ClientAddresses, LeakWatch, ReplayMemory


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["query_string"] == b"fail":
        raise ZeroDivisionError
    subject = scope.get("state", {}).get("jwt_claims", {}).get("sub", "nobody")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": subject.encode()})


class Client:
    """Sends requests through the middleware."""

    def __init__(self, endpoint: Endpoint, make_cache: MakeCache) -> None:
        self.instruments = Instruments()
        self.guarded = BearerMiddleware(
            app,
            verifier(make_cache(endpoint), scope="read"),
            routes={"/orders": "/orders", "/payments": "/payments"},
            one_time=("/payments",),
            clients=("shop",),
            instruments=self.instruments,
            leaks=LeakWatch(
                ISSUER, addresses=ClientAddresses(["127.0.0.1"]), most_addresses=2, instruments=self.instruments
            ),
        )
        self._transport = httpx.ASGITransport(self.guarded)

    def get(self, path: str = "/orders", *authorization: str, forwarded: str = "192.0.2.1") -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://x") as client:
                return await client.get(
                    path,
                    headers=[("X-Forwarded-For", forwarded), *(("Authorization", value) for value in authorization)],
                )

        return asyncio.run(call())

    def counted(self, code: str, client: str) -> float | None:
        labels = {"route": "/orders", "code": code, "client": client}
        return self.instruments.registry.get_sample_value("jwt_protected_requests_total", labels)


@pytest.fixture
def client(endpoint: Endpoint, make_cache: MakeCache) -> Client:
    return Client(endpoint, make_cache)


def test_a_good_token_gets_in_with_its_claims(client: Client, endpoint: Endpoint) -> None:
    token = good(endpoint.keys[0], scope="read", client_id="shop")
    assert client.get("/orders", f"Bearer {token}").text == "s"
    assert client.get("/orders", f"bearer  {token}").status_code == 200
    assert client.counted("200", "shop") == 2


@pytest.mark.parametrize("header", [(), ("Basic eDp5",), ("Bearer",), ("Bearer ",), ("Bearer a", "Bearer b")])
def test_without_one_token_there_is_a_plain_challenge(client: Client, header: tuple[str, ...]) -> None:
    answer = client.get("/orders", *header)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="jwtdrill"')
    assert client.counted("401", "unknown") == 1


def test_a_bad_token_gets_its_reason(client: Client) -> None:
    answer = client.get("/orders", f"Bearer {good(SigningKey.generate(Algorithm.ES256), scope='read')}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token", error_description="unknown_kid"'


def test_too_little_scope_is_403(client: Client, endpoint: Endpoint) -> None:
    answer = client.get("/orders", f"Bearer {good(endpoint.keys[0])}")
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_no_keys_is_the_services_fault(client: Client, endpoint: Endpoint) -> None:
    endpoint.down = True
    answer = client.get("/orders", f"Bearer {good(endpoint.keys[0])}")
    assert answer.status_code == 503
    assert "www-authenticate" not in answer.headers


def test_a_client_that_nobody_configured_is_unknown(client: Client, endpoint: Endpoint) -> None:
    client.get("/orders", f"Bearer {good(endpoint.keys[0], scope='read', client_id='evil')}")
    assert client.counted("200", "unknown") == 1


def test_an_application_that_fails_is_counted_as_500(client: Client, endpoint: Endpoint) -> None:
    token = good(endpoint.keys[0], scope="read")
    with pytest.raises(ZeroDivisionError):
        client.get("/orders?fail", f"Bearer {token}")
    assert client.counted("500", "unknown") == 1


def test_where_it_is_good_once_the_second_use_is_refused_and_elsewhere_it_is_not(
    client: Client, endpoint: Endpoint
) -> None:
    token = f"Bearer {good(endpoint.keys[0], scope='read')}"
    assert [client.get(path, token).status_code for path in ("/orders", "/payments", "/orders")] == [200, 200, 200]
    again = client.get("/payments", token)
    assert (again.status_code, again.json()["reason"]) == (401, "replayed")
    assert client.get("/orders", token).status_code == 200


def test_a_full_memory_of_uses_is_the_services_fault(client: Client, endpoint: Endpoint) -> None:
    client.guarded._verifier._replays = ReplayMemory(most=1)
    tokens = [f"Bearer {good(endpoint.keys[0], scope='read')}" for _ in range(2)]
    assert [client.get("/payments", token).status_code for token in tokens] == [200, 503]


def test_a_route_that_is_not_guarded_cannot_be_one_time(endpoint: Endpoint, make_cache: MakeCache) -> None:
    with pytest.raises(ValueError, match="not guarded"):
        BearerMiddleware(app, verifier(make_cache(endpoint)), routes={"/a": "/a"}, one_time=("/b",))


def test_a_token_from_many_addresses_is_suspected_if_it_is_good(client: Client, endpoint: Endpoint) -> None:
    token = good(endpoint.keys[0], scope="read")
    for sent, suspicions in ((token[:-8], 0.0), (token, 1.0), (token, 1.0)):
        for number in range(3):
            client.get("/orders", f"Bearer {sent}", forwarded=f"203.0.113.{number}")
        counted = client.instruments.registry.get_sample_value
        assert counted("jwt_token_leak_suspicion_total", {"issuer": ISSUER}) == suspicions


def test_a_websocket_on_a_guarded_path_is_closed(client: Client) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(client.guarded({"type": "websocket", "path": "/orders", "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_other_paths_pass_unguarded(client: Client) -> None:
    assert client.get("/healthz").text == "nobody"
