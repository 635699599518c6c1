"""The issuer checks assertions by RFC 7523 section 3 and answers by RFC 6749 section 5."""

import asyncio
import time
from typing import Any

import httpx
import jwt
import pytest

from jwtdrill.flows.token import CLIENT_ASSERTION, JWT_BEARER
from jwtdrill.lab.issuer import IssuerService
from jwtdrill.lab.settings import ClientSettings, IssuerSettings
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Minter

URL = "http://127.0.0.1:9"
ADMIN = "admin-token"


class Issuer:
    """An issuer, spoken to without a socket."""

    def __init__(self, keys: dict[Algorithm, SigningKey]) -> None:
        self.client = keys[Algorithm.ES256]
        settings = IssuerSettings(
            URL,
            9,
            "https://api",
            60,
            5,
            2,
            "",
            "RS256",
            "",
            0,
            (ClientSettings("c", self.client.public_jwk(), "ES256", ("read",)),),
        )
        self.service = IssuerService(settings, keys[Algorithm.RS256], ADMIN)
        self._transport = httpx.ASGITransport(self.service.application())

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=URL) as client:
                return await client.request(method, path, **more)

        return asyncio.run(call())

    def assertion(self, key: SigningKey | None = None, **changes: Any) -> str:
        now = int(time.time())
        payload = {"iss": "c", "sub": "c", "aud": URL, "iat": now, "exp": now + 60, "jti": str(time.perf_counter_ns())}
        payload = {name: value for name, value in (payload | changes).items() if value is not ...}
        return Minter(key or self.client, "JWT").mint_payload(payload)

    def token(self, **form: str) -> httpx.Response:
        return self.send("POST", "/token", data=form)

    def bearer(self, assertion: str, **more: str) -> httpx.Response:
        return self.token(grant_type=JWT_BEARER, assertion=assertion, **more)


@pytest.fixture
def issuer(keys: dict[Algorithm, SigningKey]) -> Issuer:
    return Issuer(keys)


def verified(issuer: Issuer, answer: httpx.Response) -> dict[str, Any]:
    [jwk] = issuer.send("GET", "/jwks").json()["keys"]
    token = answer.json()["access_token"]
    claims: dict[str, Any] = jwt.decode(token, jwt.PyJWK(jwk).key, ["RS256"], audience="https://api", issuer=URL)
    return claims


def test_jwt_bearer_gives_a_token_for_the_assertions_subject(issuer: Issuer) -> None:
    answer = issuer.bearer(issuer.assertion(sub="alice"), scope="read")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["expires_in"] == 60
    claims = verified(issuer, answer)
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("alice", "c", "read")
    assert claims["exp"] - claims["iat"] == 60


def test_client_credentials_gives_a_token_for_the_client(issuer: Issuer) -> None:
    answer = issuer.token(
        grant_type="client_credentials", client_assertion_type=CLIENT_ASSERTION, client_assertion=issuer.assertion()
    )
    assert verified(issuer, answer)["sub"] == "c"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other"},
        {"aud": ...},
        {"exp": 1_600_000_000},
        {"exp": 4_000_000_000},
        {"exp": ...},
        {"exp": "soon"},
        {"exp": 10**400},
        {"iat": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"iss": "stranger"},
        {"iss": ...},
        {"sub": ...},
        {"jti": ...},
        {"jti": 7},
        {"jti": "x" * 300},
    ],
)
def test_each_check_of_rfc_7523(issuer: Issuer, changes: dict[str, Any]) -> None:
    answer = issuer.bearer(issuer.assertion(**changes))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_an_assertion_signed_by_another_key_is_refused(issuer: Issuer, keys: dict[Algorithm, SigningKey]) -> None:
    assert issuer.bearer(issuer.assertion(SigningKey.generate(Algorithm.ES256))).json()["error"] == "invalid_grant"
    assert issuer.bearer(issuer.assertion(keys[Algorithm.RS256])).json()["error"] == "invalid_grant"


def test_an_assertion_is_good_once(issuer: Issuer) -> None:
    once = issuer.assertion()
    assert issuer.bearer(once).status_code == 200
    answer = issuer.bearer(once)
    assert (answer.json()["error"], answer.json()["error_description"]) == (
        "invalid_grant",
        "the assertion was used before",
    )


def test_a_bad_assertion_does_not_use_up_its_jti(issuer: Issuer) -> None:
    assert issuer.bearer(issuer.assertion(jti="j", aud="https://other")).status_code == 400
    assert issuer.bearer(issuer.assertion(jti="j")).status_code == 200


def test_a_client_speaks_only_for_itself(issuer: Issuer) -> None:
    answer = issuer.token(
        grant_type="client_credentials",
        client_assertion_type=CLIENT_ASSERTION,
        client_assertion=issuer.assertion(sub="alice"),
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": JWT_BEARER}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_client"),
        ({"grant_type": JWT_BEARER, "assertion": "a.b.c"}, "invalid_grant"),
    ],
)
def test_errors_of_rfc_6749(issuer: Issuer, form: dict[str, str], error: str) -> None:
    assert issuer.token(**form).json()["error"] == error


def test_more_scope_than_allowed_is_refused(issuer: Issuer) -> None:
    assert issuer.bearer(issuer.assertion(), scope="read write").json()["error"] == "invalid_scope"


@pytest.mark.parametrize("body", [b"grant_type=a&grant_type=b", b"\xff=1", b"a=1&" * 100, b"x" * 100_000])
def test_a_body_that_is_no_proper_form_is_refused(issuer: Issuer, body: bytes) -> None:
    assert issuer.send("POST", "/token", content=body).json()["error"] == "invalid_request"


def test_the_admin_interface_asks_for_its_token(issuer: Issuer) -> None:
    for token in ("", "Bearer wrong", ADMIN):
        assert issuer.send("POST", "/admin/keys/publish", headers={"Authorization": token}).status_code == 401
    assert len(issuer.send("GET", "/jwks").json()["keys"]) == 1


def test_rotation_through_the_admin_interface(issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}"}

    def step(name: str, kid: str = "") -> httpx.Response:
        return issuer.send("POST", f"/admin/keys/{name}", params={"kid": kid}, headers=headers)

    old = issuer.send("GET", "/admin/keys", headers=headers).json()["keys"][0]["kid"]
    new = step("publish").json()["kid"]
    assert step("activate", new).status_code == 200
    token = issuer.bearer(issuer.assertion()).json()["access_token"]
    assert jwt.get_unverified_header(token)["kid"] == new
    assert step("remove", new).status_code == 409
    assert step("remove", old).status_code == 200
    assert [key["kid"] for key in issuer.send("GET", "/jwks").json()["keys"]] == [new]
    metrics = issuer.send("GET", "/metrics").text
    assert f'jwt_key_rotation_total{{issuer="{URL}",result="success"}} 1.0' in metrics
    assert f'kid="{old}"' not in metrics
    assert step("explode").status_code == 404


def test_a_revoked_key_is_named_beside_the_revoked_tokens(issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}"}

    def step(name: str, kid: str = "") -> httpx.Response:
        return issuer.send("POST", f"/admin/keys/{name}", params={"kid": kid}, headers=headers)

    assert issuer.send("GET", "/revoked").json() == {"revoked": [], "keys": []}
    old = issuer.send("GET", "/admin/keys", headers=headers).json()["keys"][0]["kid"]
    assert step("revoke", old).status_code == 409
    step("activate", step("publish").json()["kid"])
    assert step("revoke", old).status_code == 200
    assert issuer.send("GET", "/revoked").json() == {"revoked": [], "keys": [old]}
    assert old not in [key["kid"] for key in issuer.send("GET", "/jwks").json()["keys"]]
    assert f'kid="{old}"' not in issuer.send("GET", "/metrics").text
    assert step("restore", old).status_code == 409


def test_metadata_and_cache_headers(issuer: Issuer) -> None:
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        content = issuer.send("GET", path).json()
        assert (content["issuer"], content["jwks_uri"]) == (URL, f"{URL}/jwks")
    assert issuer.send("GET", "/jwks").headers["cache-control"] == "public, max-age=5"


def test_issuance_is_counted_by_grant_and_error(issuer: Issuer) -> None:
    issuer.bearer(issuer.assertion())
    issuer.bearer("a.b.c")
    value = issuer.service.instruments.registry.get_sample_value
    labels = {"issuer": URL, "grant_type": JWT_BEARER}
    assert value("jwt_issuance_total", labels | {"result": "success", "error": ""}) == 1
    assert value("jwt_issuance_total", labels | {"result": "failure", "error": "invalid_grant"}) == 1
    assert value("jwt_issuance_total", labels | {"result": "failure", "error": "server_error"}) == 0
