"""The lab's token service gives credentials for good tokens of the one role, and says as AWS does why not."""

import asyncio
import re
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, endpoint, good, make_cache, verifier  # noqa: F401 - fixtures

from jwtdrill.flows.sts import AssumeRole
from jwtdrill.lab.sts import service
from jwtdrill.target.model import Sts
from jwtdrill.tokens.minter import Claims, Minter

STS = Sts(url="http://sts/", role="arn:role")


class Service:
    def __init__(self, endpoint: Endpoint, make_cache: MakeCache) -> None:  # noqa: F811
        self.key = endpoint.keys[0]
        assume = service(verifier(make_cache(endpoint)), STS.role)
        self._transport = httpx.ASGITransport(Starlette(routes=[Route("/", assume, methods=["POST"])]))

    def code(self, token: str, **changes: str) -> str:
        request = AssumeRole(STS.model_copy(update={"params": changes})).request(token)

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport) as client:
                return await client.post(request.url, headers=dict(request.headers), content=request.body)

        text = asyncio.run(ask()).text
        found = re.search(r"<Code>(\w+)</Code>", text)
        return found[1] if found else ("granted" if "<SecretAccessKey>" in text else text)


@pytest.fixture
def sts(endpoint: Endpoint, make_cache: MakeCache) -> Service:  # noqa: F811
    return Service(endpoint, make_cache)


def test_credentials_for_a_good_token_alone(sts: Service) -> None:
    expired = Claims(ISSUER, "s", AUDIENCE, 10**9, 10**9 + 60)
    assert sts.code(good(sts.key)) == "granted"
    assert sts.code(good(sts.key) + "x") == "InvalidIdentityToken"
    assert sts.code(Minter(sts.key).mint(expired)) == "ExpiredTokenException"
    assert sts.code(good(sts.key, extra={"cnf": {"jkt": "x"}})) == "InvalidIdentityToken"
    assert sts.code("") == "InvalidIdentityToken"


def test_another_role_or_action_gets_none(sts: Service) -> None:
    token = good(sts.key)
    assert sts.code(token, RoleArn="arn:other") == "AccessDenied"
    assert sts.code(token, RoleSessionName="") == "AccessDenied"
    assert sts.code(token, Action="GetCallerIdentity") == "InvalidAction"
    assert sts.code("x" * 70_000) == "ValidationError"


def test_a_service_whose_issuer_is_down_does_not_blame_the_token(
    endpoint: Endpoint,  # noqa: F811
    make_cache: MakeCache,  # noqa: F811
) -> None:
    endpoint.down = True
    began = time.monotonic()
    assert Service(endpoint, make_cache).code(good(endpoint.keys[0])) == "IDPCommunicationError"
    assert time.monotonic() - began < 30
