"""Proofs of possession are checked as RFC 9449 section 4.3 lists it; each point is a test."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtdrill.catalog.reasons import Reason
from jwtdrill.flows.exchange import Request, Response
from jwtdrill.flows.proof import Prover
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.verify import Nonces, ProofChecker, VerificationError
from jwtdrill.verify.proof import NonceWantedError

URL = "https://api.example/orders"
TOKEN = "e30.e30.e30"
PROVER = Prover()


def check(proof: str, checker: ProofChecker | None = None, **where: Any) -> str:
    return (checker or ProofChecker()).check(proof, **{"method": "GET", "url": URL, "token": TOKEN, **where})


def made(**changes: Any) -> str:
    claims = {**PROVER.claims("GET", URL, TOKEN), **changes}
    return PROVER.sealed(PROVER.header(), {name: value for name, value in claims.items() if value is not ...})


def test_a_good_proof_shows_its_key() -> None:
    assert check(PROVER.proof("GET", URL, TOKEN)) == PROVER.thumbprint
    assert check(PROVER.proof("GET", f"{URL}?page=2#x", TOKEN), url=f"{URL}?page=2") == PROVER.thumbprint
    assert check(PROVER.proof("GET", "HTTPS://API.example:443/orders", TOKEN)) == PROVER.thumbprint
    assert check(PROVER.proof("POST", URL), method="POST", token=None) == PROVER.thumbprint


@pytest.mark.parametrize("alg", [Algorithm.RS256, Algorithm.PS256, Algorithm.EDDSA])
def test_other_algorithms_are_as_good(alg: Algorithm) -> None:
    other = Prover(SigningKey.generate(alg))
    assert check(other.proof("GET", URL, TOKEN)) == other.thumbprint


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "POST"},
        {"htm": ...},
        {"htu": "https://api.example/other"},
        {"htu": "http://api.example/orders"},
        {"htu": f"{URL}?a=b"},
        {"htu": 7},
        {"htu": "https://api.example:x/orders"},
        {"htu": ...},
        {"ath": "x"},
        {"ath": ...},
        {"iat": time.time() + 3600},
        {"iat": time.time() - 3600},
        {"iat": float("nan")},
        {"iat": float("inf")},
        {"iat": 10**400},
        {"iat": "now"},
        {"iat": True},
        {"iat": ...},
        {"jti": ...},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 300},
    ],
)
def test_each_claim_is_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationError) as refusal:
        check(made(**changes))
    assert refusal.value.reason is Reason.PROOF_INVALID
    assert "e30" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header | {"typ": "JWT"},
        lambda header: header | {"alg": "none"},
        lambda header: header | {"alg": "HS256"},
        lambda header: {name: value for name, value in header.items() if name != "jwk"},
        lambda header: header | {"jwk": {"kty": "oct", "k": "AAAA"}},
        lambda header: header | {"jwk": header["jwk"] | {"d": "AAAA"}},
        lambda header: header | {"jwk": Prover().jwk},
        lambda header: header | {"jwk": []},
        lambda header: header | {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
    ],
)
def test_the_header_is_checked(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with pytest.raises(VerificationError):
        check(PROVER.sealed(change(PROVER.header()), PROVER.claims("GET", URL, TOKEN)))


def test_a_proof_is_good_once() -> None:
    checker, proof = ProofChecker(), PROVER.proof("GET", URL, TOKEN)
    check(proof, checker)
    with pytest.raises(VerificationError, match="used before"):
        check(proof, checker)


def test_a_nonce_is_asked_for_and_then_taken() -> None:
    now = 1_000_000.0
    checker = ProofChecker(nonces=Nonces(60, lambda: now), clock=time.time)
    prover = Prover()
    with pytest.raises(NonceWantedError):
        check(prover.proof("GET", URL, TOKEN), checker)
    assert checker.nonces is not None
    answer = Response(401, {"dpop-nonce": checker.nonces.current(), "www-authenticate": 'DPoP error="use_dpop_nonce"'})
    assert prover.wants_again(URL, answer)
    check(prover.proof("GET", URL, TOKEN), checker)
    now += 60
    check(prover.proof("GET", URL, TOKEN), checker)
    now += 60
    with pytest.raises(NonceWantedError):
        check(prover.proof("GET", URL, TOKEN), checker)
    assert not prover.wants_again(URL, Response(200, {"dpop-nonce": checker.nonces.current()}))
    check(prover.proof("GET", URL, TOKEN), checker)


def test_a_proved_request_bears_the_token_under_the_scheme_of_its_own() -> None:
    proved = PROVER.proved(Request("GET", URL, {"Authorization": f"Bearer {TOKEN}"}), TOKEN)
    assert proved.headers["Authorization"] == f"DPoP {TOKEN}"
    assert check(proved.headers["DPoP"]) == PROVER.thumbprint


@given(st.text())
def test_whatever_comes_is_refused_in_words(text: str) -> None:
    with pytest.raises(VerificationError):
        check(text)
