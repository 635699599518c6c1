"""Each item of the preflight passes, fails or cannot be told as it should; nothing is fetched here."""

import datetime
from typing import Any

import pytest

from jwtdrill.probe.certificates import Certificate
from jwtdrill.probe.items import (
    Item,
    Status,
    cache_item,
    certificate_item,
    claims_items,
    clock_item,
    key_items,
    plain_item,
    revocation_item,
)
from jwtdrill.target.documents import Document
from jwtdrill.target.model import Target
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Minter

ISSUER, AUDIENCE = "https://idp.example", "https://api.example"
KEY = SigningKey.generate(Algorithm.ES256, "k1")
TARGET = Target.model_validate(
    {
        "environment": "staging",
        "issuer": {"url": ISSUER},
        "client": [{"id": "c", "auth": "client_secret_basic", "secret": "env:X", "scope": "read"}],
        "resource": [{"url": "https://api.example/x", "audience": AUDIENCE}],
    }
)


def failing(items: list[Item]) -> set[str]:
    return {item.name for item in items if item.status is Status.FAIL}


@pytest.mark.parametrize(
    ("date", "status"),
    [
        ("Tue, 24 Nov 2026 12:00:00 GMT", Status.PASS),
        ("Tue, 24 Nov 2026 12:00:09 GMT", Status.FAIL),
        ("Tue, 24 Nov 2026 11:59:00 GMT", Status.FAIL),
        ("yesterday", Status.UNKNOWN),
        ("", Status.UNKNOWN),
    ],
)
def test_clocks(date: str, status: Status) -> None:
    received = datetime.datetime(2026, 11, 24, 12, 0, 1, tzinfo=datetime.UTC).timestamp()
    headers = {"date": date} if date else {}
    assert clock_item(Document("u", 200, headers, b"", received, 0.1)).status is status


def test_a_certificate_is_renewed_in_time() -> None:
    now = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    for days, status in ((90, Status.PASS), (14, Status.PASS), (13, Status.FAIL), (-1, Status.FAIL)):
        found = Certificate(now + datetime.timedelta(days=days), "TLSv1.3")
        assert certificate_item("TLS", found, now).status is status


def test_only_this_machine_may_do_without_tls() -> None:
    assert plain_item("TLS", "127.0.0.1").status is Status.UNKNOWN
    assert plain_item("TLS", "idp.example").status is Status.FAIL
    assert plain_item("TLS", "127.example").status is Status.FAIL


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ([], set()),
        ([KEY.public_jwk()], {"keys: kids differ"}),
        ([{**KEY.public_jwk(), "kid": "k2", "d": "x"}], {"keys: public alone"}),
        ([{"kty": "oct", "kid": "k2", "k": "x", "use": "sig", "alg": "HS256"}], {"keys: public alone"}),
        ([{"kty": "RSA", "kid": "k2", "n": "A" * 171, "use": "sig", "alg": "RS256"}], {"keys: long enough"}),
        ([{"kty": "RSA", "kid": "k2", "n": "A" * 342, "use": "sig", "alg": "RS256"}], set()),
        (
            [{name: value for name, value in KEY.public_jwk().items() if name != "use"} | {"kid": "k2"}],
            {"keys: kid, use and alg"},
        ),
    ],
)
def test_what_is_wrong_with_published_keys(change: list[dict[str, Any]], names: set[str]) -> None:
    assert failing(key_items([KEY.public_jwk(), *change])) == names


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("public, max-age=300", Status.PASS),
        ("max-age=0", Status.FAIL),
        ("no-store", Status.FAIL),
        ("max-age=9999999", Status.FAIL),
    ],
)
def test_cache_headers(header: str, status: Status) -> None:
    assert cache_item({"cache-control": header}).status is status
    assert cache_item({}).status is Status.FAIL


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, set()),
        ({"iss": "https://other"}, {"token issuer"}),
        ({"aud": "https://other"}, {"token audience"}),
        ({"aud": ["https://other", AUDIENCE]}, set()),
        ({"exp": 10**6 + 86400}, {"token lifetime"}),
        ({"exp": "soon"}, {"token lifetime"}),
        ({"jti": ...}, {"token claims"}),
        ({"scope": "read admin"}, {"token scopes"}),
        ({"x": "y" * 5000}, {"token size"}),
    ],
)
def test_what_a_token_says(changes: dict[str, Any], names: set[str]) -> None:
    claims = {"iss": ISSUER, "sub": "c", "aud": AUDIENCE, "iat": 10**6, "exp": 10**6 + 300, "jti": "j", "scope": "read"}
    payload = {name: value for name, value in (claims | changes).items() if value is not ...}
    items = claims_items(Minter(KEY).mint_payload(payload), TARGET, {"k1"})
    assert failing(items) == names
    assert failing(claims_items(Minter(KEY).mint_payload(payload), TARGET, {"k2"})) == names | {"token key"}


def test_a_token_is_of_the_type_that_the_file_declares() -> None:
    declared = TARGET.resource[0].model_copy(update={"types": ("at+jwt",)})
    strict = TARGET.model_copy(update={"resource": (declared,)})
    claims = {"iss": ISSUER, "sub": "c", "aud": AUDIENCE, "iat": 10**6, "exp": 10**6 + 300, "jti": "j"}
    whole = claims | {"client_id": "c"}
    assert not failing(claims_items(Minter(KEY).mint_payload(whole), strict, {"k1"}))
    assert failing(claims_items(Minter(KEY, "JWT").mint_payload(whole), strict, {"k1"})) == {"token type"}
    assert failing(claims_items(Minter(KEY).mint_payload(claims), strict, {"k1"})) == {"token claims"}


def test_whether_tokens_can_be_revoked() -> None:
    assert revocation_item({"revocation_endpoint": "https://idp/revoke"}).status is Status.PASS
    assert revocation_item({}).status is Status.UNKNOWN


def test_an_opaque_token_cannot_be_told() -> None:
    [item] = claims_items("opaque", TARGET, set())
    assert item.status is Status.UNKNOWN
