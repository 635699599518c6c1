"""A token bound to a key comes with a proof of it (RFC 9449), one bound to a certificate with that (RFC 8705)."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.flows.exchange import Response
from jwtdrill.flows.proof import Prover
from jwtdrill.tokens.certificates import self_signed
from jwtdrill.tokens.digests import certificate_thumbprint
from jwtdrill.verify import (
    BearerMiddleware,
    ForwardedCertificates,
    Nonces,
    ProofChecker,
    Verifier,
    VerifierPolicy,
)
from jwtdrill.verify.certificate import forwarded

URL = "http://x/orders"
POLICY = VerifierPolicy(ISSUER, AUDIENCE, algorithms=("ES256",))
SECRET = "between edge and service"
OWN, OTHER = self_signed("device").der, self_signed("device").der


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Resource:
    """One guarded route; `proofs`: what checks them there."""

    def __init__(
        self,
        endpoint: Endpoint,
        make_cache: MakeCache,
        proofs: ProofChecker | None,
        *,
        one_time: bool = False,
        decisions: int = 0,
    ) -> None:
        self.key = endpoint.keys[0]
        self.instruments = Instruments()
        guarded = BearerMiddleware(
            app,
            Verifier(POLICY, make_cache(endpoint), instruments=self.instruments, decisions=decisions),
            routes={"/orders": "/orders"},
            one_time=("/orders",) if one_time else (),
            proofs=proofs,
            certificates=ForwardedCertificates(SECRET),
        )
        self._transport = httpx.ASGITransport(guarded)

    def counted(self, reason: str) -> float | None:
        labels = {"issuer": ISSUER, "audience": AUDIENCE, "kid": self.key.kid, "alg": "ES256", "reason": reason}
        result = {"result": "failure" if reason else "success"}
        return self.instruments.registry.get_sample_value("jwt_verification_total", labels | result)

    def token(self, prover: Prover | None) -> str:
        return good(self.key, extra={"cnf": {"jkt": prover.thumbprint}} if prover else {})

    def bound(self, cnf: object) -> str:
        return good(self.key, extra={"cnf": cnf})

    def shown(self, token: str, *headers: tuple[bytes, bytes]) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport) as client:
                return await client.get(URL, headers=[(b"Authorization", f"Bearer {token}".encode()), *headers])

        return asyncio.run(call())

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


@pytest.mark.parametrize("decisions", [0, 10])
def test_a_proof_that_fails_is_counted_as_a_refusal(endpoint: Endpoint, make_cache: MakeCache, decisions: int) -> None:
    resource, prover = Resource(endpoint, make_cache, ProofChecker(), decisions=decisions), Prover()
    token = resource.token(prover)
    for _ in range(2):
        assert resource.get("DPoP", token, prover.proof("GET", URL, token)).status_code == 200
        assert resource.get("DPoP", token).status_code == 401
    assert (resource.counted(""), resource.counted("proof_invalid")) == (2, 2)


def test_where_it_is_good_once_a_bound_token_is_used_up_with_its_proof_alone(
    endpoint: Endpoint, make_cache: MakeCache
) -> None:
    """A thief without the key cannot use it up, nor does a server that asks for a nonce."""
    resource = Resource(endpoint, make_cache, ProofChecker(nonces=Nonces()), one_time=True)
    prover, thief = Prover(), Prover()
    token = resource.token(prover)
    resource.get("DPoP", token, thief.proof("GET", URL, token))
    refused = resource.get("DPoP", token, prover.proof("GET", URL, token))
    assert prover.wants_again(URL, Response(401, dict(refused.headers)))
    assert resource.get("DPoP", token, prover.proof("GET", URL, token)).status_code == 200
    again = resource.get("DPoP", token, prover.proof("GET", URL, token))
    assert (again.status_code, again.json()["reason"]) == (401, "replayed")
    assert resource.counted("replayed") == 1


def test_a_token_bound_to_a_certificate_is_accepted_with_that_alone(resource: Resource) -> None:
    token = resource.bound({"x5t#S256": certificate_thumbprint(OWN)})
    assert resource.shown(token, *forwarded(OWN, SECRET)).status_code == 200
    refused = resource.shown(token, *forwarded(OTHER, SECRET))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (
        401,
        'Bearer error="invalid_token", error_description="proof_invalid"',
    )
    assert resource.shown(token).status_code == 401
    assert resource.shown(token, *forwarded(OWN, SECRET), *forwarded(OTHER, SECRET)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        forwarded(OWN, "a guess"),
        forwarded(OWN, SECRET)[:1],
        [(b"client-cert", b":*:"), forwarded(OWN, SECRET)[1]],
        [(b"client-cert", b""), forwarded(OWN, SECRET)[1]],
    ],
)
def test_a_header_that_no_edge_vouches_for_is_no_certificate(
    resource: Resource, headers: list[tuple[bytes, bytes]]
) -> None:
    token = resource.bound({"x5t#S256": certificate_thumbprint(OWN)})
    assert resource.shown(token, *headers).status_code == 401


@pytest.mark.parametrize(
    "bound",
    ["", None, 0, [certificate_thumbprint(OWN)], certificate_thumbprint(OWN)[:10]],
    ids=["empty", "null", "number", "list", "part"],
)
def test_what_is_no_digest_binds_to_nothing(resource: Resource, bound: object) -> None:
    assert resource.shown(resource.bound({"x5t#S256": bound}), *forwarded(OWN, SECRET)).status_code == 401
