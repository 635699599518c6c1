"""No token, path or client grows the label space: the bounds of docs/alerting.md, attacked."""

import asyncio
import json
import random
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good

from jwtdrill.catalog.exposition import MOST_KIDS, Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify import BearerMiddleware, Verifier, VerifierPolicy
from jwtdrill.verify.metrics import VerificationMetrics

OUTCOMES = len(Reason) + 1


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": scope["status"], "headers": []})
    await send({"type": "http.response.body", "body": b""})


def watched(endpoint: Endpoint, make_cache: MakeCache, instruments: Instruments) -> Verifier:
    policy = VerifierPolicy(ISSUER, AUDIENCE, algorithms=("ES256", "RS256"))
    return Verifier(policy, make_cache(endpoint, instruments=instruments), instruments=instruments)


def series(registry: CollectorRegistry, name: str) -> list[dict[str, str]]:
    return [s.labels for family in registry.collect() for s in family.samples if s.name == name]


def random_token(dice: random.Random, endpoint: Endpoint) -> str:
    """A token of somebody who chooses all that it says; a published kid now and then."""
    word = f"{dice.getrandbits(64):x}"
    kid = dice.choice([word, word, endpoint.keys[0].kid])
    header = {"alg": dice.choice(["RS256", "ES256", "none", word]), "kid": kid, "typ": "at+jwt"}
    claims = {
        "iss": dice.choice([ISSUER, f"https://{word}"]),
        "aud": word,
        "client_id": word,
        "exp": dice.random() * 4e9,
    }
    parts = (urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join([*parts, word])


async def attack(guarded: BearerMiddleware, endpoint: Endpoint, requests: int) -> None:
    dice = random.Random(7)

    async def send(message: Any) -> None:
        pass

    for _ in range(requests):
        path = dice.choice(["/orders", f"/orders/{dice.getrandbits(64):x}"])
        token = random_token(dice, endpoint).encode()
        scope = {
            "type": "http",
            "path": path,
            "method": "GET",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + token)],
            "status": 200,
        }
        await guarded(scope, None, send)  # type: ignore[arg-type]


@pytest.mark.parametrize("requests", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_random_kids_issuers_paths_and_clients_make_no_series(
    endpoint: Endpoint, make_cache: MakeCache, requests: int
) -> None:
    instruments = Instruments()
    guarded = BearerMiddleware(
        app,
        watched(endpoint, make_cache, instruments),
        routes={"/orders": "/orders"},
        clients=("shop",),
        instruments=instruments,
    )
    asyncio.run(attack(guarded, endpoint, requests))
    verified = series(instruments.registry, "jwt_verification_total")
    algorithms = {labels["alg"] for labels in verified}
    kids = {labels["kid"] for labels in verified}
    assert kids <= {"unknown", *(key.kid for key in endpoint.keys)}
    assert {labels["issuer"] for labels in verified} == {ISSUER}
    assert len(verified) <= len(kids) * len(algorithms) * OUTCOMES
    counted = series(instruments.registry, "jwt_protected_requests_total")
    assert {(labels["route"], labels["client"]) for labels in counted} == {("/orders", "unknown")}
    assert len(counted) <= 3


def test_years_of_rotations_leave_series_of_the_keys_used_last() -> None:
    instruments = Instruments()
    metrics = VerificationMetrics(instruments, ISSUER, "a", ("RS256",), 60)
    for number in range(1000):
        for kid in (f"k{number}", f"k{number}", "busy"):
            metrics.accepted(kid, "RS256", 0.001)
            metrics.refused(kid, "RS256", Reason.EXPIRED, 0.001)
    found = series(instruments.registry, "jwt_verification_total")
    kids = {labels["kid"] for labels in found} - {"unknown"}
    assert kids == {"busy", *(f"k{number}" for number in range(1000 - MOST_KIDS + 1, 1000))}
    busy = {"issuer": ISSUER, "audience": "a", "kid": "busy", "alg": "RS256", "result": "success", "reason": ""}
    assert instruments.registry.get_sample_value("jwt_verification_total", busy) == 1000
    assert len(found) == (MOST_KIDS + 2) * OUTCOMES  # and the unknown kid, of a known algorithm and of none


def test_a_huge_key_set_names_so_many_keys_and_no_more(endpoint: Endpoint, make_cache: MakeCache) -> None:
    many = [SigningKey.generate(Algorithm.ES256) for _ in range(3 * MOST_KIDS)]
    endpoint.keys[:] = many
    instruments = Instruments()
    checked = watched(endpoint, make_cache, instruments)
    for key in many:
        checked.verify(good(key))
    assert len(series(instruments.registry, "jwt_signing_key_info")) == MOST_KIDS
    kids = {labels["kid"] for labels in series(instruments.registry, "jwt_verification_total")}
    assert kids == {"unknown", *(key.kid for key in many[-MOST_KIDS:])}
