"""A token that is bound to a key comes with a proof of it, and no other token with one (RFC 9449 section 7.1)."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.verify.conftest import Endpoint, MakeCache, good, verifier

from jwtdrill.flows.exchange import Response
from jwtdrill.flows.proof import Prover
from jwtdrill.verify import BearerMiddleware, Nonces, ProofChecker

URL = "http://x/orders"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Resource:
    """One guarded route; `proofs`: what checks them there."""

    def __init__(self, endpoint: Endpoint, make_cache: MakeCache, proofs: ProofChecker | None) -> None:
        self.key = endpoint.keys[0]
        guarded = BearerMiddleware(app, verifier(make_cache(endpoint)), routes={"/orders": "/orders"}, proofs=proofs)
        self._transport = httpx.ASGITransport(guarded)

    def token(self, prover: Prover | None) -> str:
        return good(self.key, extra={"cnf": {"jkt": prover.thumbprint}} if prover else {})

    def get(self, scheme: str, token: str, *proofs: str) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport) as client:
                headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", proof) for proof in proofs)]
                return await client.get(URL, headers=headers)

        return asyncio.run(call())


@pytest.fixture
def resource(endpoint: Endpoint, make_cache: MakeCache) -> Resource:
    return Resource(endpoint, make_cache, ProofChecker())


def test_a_bound_token_is_accepted_with_a_proof_of_its_key_alone(resource: Resource) -> None:
    prover, thief = Prover(), Prover()
    token = resource.token(prover)
    assert resource.get("DPoP", token, prover.proof("GET", URL, token)).status_code == 200
    stolen = resource.get("DPoP", token, thief.proof("GET", URL, token))
    assert (stolen.status_code, stolen.headers["www-authenticate"]) == (
        401,
        'DPoP error="invalid_dpop_proof", error_description="proof_invalid"',
    )
    assert resource.get("DPoP", token).status_code == 401
    assert resource.get("DPoP", token, *[prover.proof("GET", URL, token)] * 2).status_code == 401


def test_a_bound_token_is_no_bearer_token(resource: Resource) -> None:
    prover = Prover()
    token = resource.token(prover)
    assert resource.get("Bearer", token).status_code == 401
    assert resource.get("Bearer", token, prover.proof("GET", URL, token)).status_code == 401


def test_a_token_that_is_not_bound_is_one_and_proves_nothing(resource: Resource) -> None:
    token = resource.token(None)
    assert resource.get("Bearer", token).status_code == 200
    assert resource.get("DPoP", token, Prover().proof("GET", URL, token)).status_code == 401


def test_without_a_checker_nobody_pretends_to_have_checked(endpoint: Endpoint, make_cache: MakeCache) -> None:
    resource, prover = Resource(endpoint, make_cache, None), Prover()
    token = resource.token(prover)
    assert resource.get("Bearer", token).status_code == 200
    assert resource.get("DPoP", token, prover.proof("GET", URL, token)).status_code == 401


def test_a_server_with_nonces_gives_one_and_takes_it(endpoint: Endpoint, make_cache: MakeCache) -> None:
    resource, prover = Resource(endpoint, make_cache, ProofChecker(nonces=Nonces())), Prover()
    token = resource.token(prover)
    refused = resource.get("DPoP", token, prover.proof("GET", URL, token))
    assert (refused.status_code, "use_dpop_nonce" in refused.headers["www-authenticate"]) == (401, True)
    assert prover.wants_again(URL, Response(401, dict(refused.headers)))
    assert resource.get("DPoP", token, prover.proof("GET", URL, token)).status_code == 200
