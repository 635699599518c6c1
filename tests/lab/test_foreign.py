"""A broker goes by the foreign issuer's key set as it is now: rotations arrive, and outages are called so."""

import json
from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest
from tests.conftest import KeySetServer, MakeServer
from tests.lab.test_grants import BASIC, FOREIGN, Grants, claims
from tests.verify.conftest import until

from jwtdrill.flows.token_exchange import JWT, TOKEN_EXCHANGE
from jwtdrill.lab.issuer import IssuerService
from jwtdrill.lab.settings import KeySource
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks


def key_set(keys: Sequence[SigningKey]) -> bytes:
    return json.dumps(jwks(keys)).encode()


class Broker(Grants):
    """An issuer that fetches the keys of the foreign one."""

    def __init__(self, keys: dict[Algorithm, SigningKey], server: KeySetServer, **source: float) -> None:
        super().__init__(keys)
        server.body = key_set([self.foreign])
        fetched = replace(KeySource(server.url, "jwtdrill-verifier/issuer", 5, 60, 0.1), **source)
        settings = replace(self.service.settings, foreign_jwks={}, foreign_keys=fetched)
        self.service = IssuerService(settings, keys[Algorithm.RS256], "admin")
        self._transport = httpx.ASGITransport(self.service.application())

    def exchange(self, token: str) -> httpx.Response:
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": JWT, "subject_token": token}
        return self.send("POST", "/token", data=form, headers=BASIC)


@pytest.fixture
def server(make_server: MakeServer) -> KeySetServer:
    return make_server(b"")


def test_a_foreign_token_is_exchanged_once_keys_are_fetched(
    keys: dict[Algorithm, SigningKey], server: KeySetServer
) -> None:
    broker = Broker(keys, server)
    local = claims(broker.exchange(broker.foreign_token()))
    assert (local["sub"], local["idp"]) == ("bob", FOREIGN)
    assert broker.exchange(broker.foreign_token(SigningKey.generate(Algorithm.ES256, "f1"))).status_code == 400
    assert broker.exchange(broker.foreign_token(aud="https://other")).json()["error"] == "invalid_grant"
    assert set(server.agents) == {"jwtdrill-verifier/issuer"}


def test_a_rotation_there_arrives_here(keys: dict[Algorithm, SigningKey], server: KeySetServer) -> None:
    """The new key is fetched for its first token; the one that is gone from the set serves no more."""
    broker = Broker(keys, server)
    assert broker.exchange(broker.foreign_token()).status_code == 200
    fresh = SigningKey.generate(Algorithm.ES256)
    server.body = key_set([fresh])
    assert broker.exchange(broker.foreign_token(fresh)).status_code == 200
    assert broker.exchange(broker.foreign_token()).json()["error"] == "invalid_grant"


def test_tokens_of_strangers_cause_no_fetch(keys: dict[Algorithm, SigningKey], server: KeySetServer) -> None:
    broker = Broker(keys, server)
    assert broker.exchange(broker.foreign_token()).status_code == 200
    before = len(server.agents)
    stranger = SigningKey.generate(Algorithm.ES256)
    for token in (broker.foreign_token(stranger, iss="https://stranger"), "no.token.x", "x"):
        assert broker.exchange(token).json()["error"] == "invalid_grant"
    assert len(server.agents) == before


def test_without_keys_it_is_the_issuers_failure_and_not_the_clients(
    keys: dict[Algorithm, SigningKey], server: KeySetServer
) -> None:
    server.status = 503
    broker = Broker(keys, server)
    answer = broker.exchange(broker.foreign_token())
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert broker.exchange(broker.foreign_token(iss="https://stranger")).status_code == 400
    own = broker.good()["access_token"]
    assert broker.exchange(own).status_code == 200  # what needs no foreign key goes on
    server.status = 200
    until(lambda: broker.exchange(broker.foreign_token()).status_code == 200)


def test_an_outage_is_felt_once_the_keys_on_hand_are_too_old(
    keys: dict[Algorithm, SigningKey], server: KeySetServer
) -> None:
    broker = Broker(keys, server, min_lifetime=0.2, stale_limit=0.6)
    until(lambda: broker.exchange(broker.foreign_token()).status_code == 200)
    server.status = 503
    until(lambda: broker.exchange(broker.foreign_token()).status_code == 503)


def test_the_foreign_keys_and_our_own_are_told_apart_in_metrics(
    keys: dict[Algorithm, SigningKey], server: KeySetServer
) -> None:
    broker = Broker(keys, server)
    assert broker.exchange(broker.foreign_token()).status_code == 200
    broker.service.keyring.publish()  # which lists our keys anew

    def shown() -> str:
        return broker.send("GET", "/metrics").text

    foreign = f'jwt_signing_key_info{{alg="ES256",issuer="{FOREIGN}",kid="f1",state="trusted"}} 1.0'
    assert foreign in shown()
    assert shown().count('state="active"') == 2  # info, and since when
    assert shown().count('state="published"') == 1
    assert f'jwt_jwks_fetch_total{{issuer="{FOREIGN}",result="success"}}' in shown()
