"""Each line of the design's table *Reading the answer* is a test; requests are built as the RFCs say."""

import base64
from pathlib import Path
from urllib.parse import parse_qs

import jwt
import pytest

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.errors import BadInputError
from jwtdrill.flows.call import Call
from jwtdrill.flows.exchange import Request, Response
from jwtdrill.flows.token import CLIENT_ASSERTION, JWT_BEARER, ClientCredentials, ClientIdentity, JwtBearer
from jwtdrill.target.discovery import Endpoints
from jwtdrill.target.model import Client, Resource, Target
from jwtdrill.tokens.keys import Algorithm, SigningKey

ENDPOINTS = Endpoints("https://i", "https://i/token", "https://i/jwks")
CALL = Call(Resource(url="https://api/orders", audience="a", method="POST", headers={"X-A": "1"}, body="{}"))


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200), Verdict.ACCEPTED),
        (Response(204), Verdict.ACCEPTED),
        (Response(401), Verdict.REJECTED),
        (Response(403), Verdict.REJECTED),
        (Response(413), Verdict.REJECTED),
        (Response(431), Verdict.REJECTED),
        (Response(400, {"www-authenticate": 'Bearer error="invalid_request"'}), Verdict.REJECTED),
        (Response(400), Verdict.ERRORED),
        (Response(302, {"location": "https://login"}), Verdict.REJECTED),
        (Response(304), Verdict.ERRORED),
        (Response(429), Verdict.THROTTLED),
        (Response(503, {"retry-after": "1"}), Verdict.THROTTLED),
        (Response(503), Verdict.ERRORED),
        (Response(500), Verdict.ERRORED),
        (Response(404), Verdict.ERRORED),
        (Response(0, error="timeout"), Verdict.ERRORED),
    ],
)
def test_reading_the_answer_to_a_call(response: Response, verdict: Verdict) -> None:
    assert CALL.judge(response).verdict is verdict


def test_a_call_carries_what_the_resource_asks_for() -> None:
    assert CALL.request("TOKEN") == Request(
        "POST", "https://api/orders", {"X-A": "1", "Authorization": "Bearer TOKEN"}, b"{}"
    )


@pytest.fixture
def target(tmp_path: Path, keys: dict[Algorithm, SigningKey]) -> Target:
    (tmp_path / "c.pem").write_bytes(keys[Algorithm.ES256].pem())
    target = Target.model_validate({"environment": "dev", "issuer": {"url": "https://i"}})
    target._path = tmp_path / "target.toml"
    return target


def identity(target: Target, **client: object) -> ClientIdentity:
    return ClientIdentity(Client.model_validate({"id": "c", **client}), target, ENDPOINTS)


@pytest.fixture
def flow(target: Target) -> ClientCredentials:
    return ClientCredentials(identity(target, auth="private_key_jwt", key="file:c.pem", kid="k1", scope="a b"))


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200, body=b'{"access_token": "t", "expires_in": 60}'), Verdict.ACCEPTED),
        (Response(200, body=b'{"access_token": 7}'), Verdict.ERRORED),
        (Response(200, body=b"<html>"), Verdict.ERRORED),
        (Response(400, body=b'{"error": "invalid_grant"}'), Verdict.REJECTED),
        (Response(401, body=b'{"error": "invalid_client"}'), Verdict.REJECTED),
        (Response(422, body=b'{"error": "not_standard"}'), Verdict.REJECTED),
        (Response(400, body=b"oops"), Verdict.ERRORED),
        (Response(429, body=b'{"error": "slow_down"}'), Verdict.THROTTLED),
        (Response(503, {"retry-after": "5"}), Verdict.THROTTLED),
        (Response(500, body=b'{"error": "server_error"}'), Verdict.ERRORED),
        (Response(0, error="refused"), Verdict.ERRORED),
    ],
)
def test_reading_the_answer_of_a_token_endpoint(flow: ClientCredentials, response: Response, verdict: Verdict) -> None:
    assert flow.judge(response).verdict is verdict


def form_of(request: Request) -> dict[str, str]:
    assert request.body is not None
    return {name: value for name, [value] in parse_qs(request.body.decode()).items()}


def test_private_key_jwt_says_who_asks(flow: ClientCredentials, keys: dict[Algorithm, SigningKey]) -> None:
    request = flow.request(now=1_700_000_000)
    form = form_of(request)
    assert (request.method, request.url) == ("POST", "https://i/token")
    assert form["grant_type"] == "client_credentials"
    assert form["scope"] == "a b"
    assert form["client_assertion_type"] == CLIENT_ASSERTION
    key = jwt.PyJWK(keys[Algorithm.ES256].public_jwk()).key
    options = {"verify_exp": False}
    claims = jwt.decode(form["client_assertion"], key, ["ES256"], audience="https://i", options=options)
    assert (claims["iss"], claims["sub"]) == ("c", "c")
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(form["client_assertion"])["kid"] == "k1"


def test_each_assertion_has_a_jti_of_its_own(flow: ClientCredentials) -> None:
    jtis = {
        jwt.decode(form_of(flow.request())["client_assertion"], options={"verify_signature": False})["jti"]
        for _ in range(50)
    }
    assert len(jtis) == 50


def test_the_assertion_may_be_addressed_to_the_token_endpoint(target: Target) -> None:
    flow = JwtBearer(identity(target, auth="private_key_jwt", key="file:c.pem", assertion_audience="token_endpoint"))
    form = form_of(flow.request())
    assert form["grant_type"] == JWT_BEARER
    assert jwt.decode(form["assertion"], options={"verify_signature": False})["aud"] == "https://i/token"


def test_secrets_go_where_the_method_says(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s:1")
    basic = ClientCredentials(identity(target, auth="client_secret_basic", secret="env:SECRET")).request()
    assert base64.b64decode(basic.headers["Authorization"].removeprefix("Basic ")) == b"c:s%3A1"
    post = ClientCredentials(identity(target, auth="client_secret_post", secret="env:SECRET")).request()
    assert form_of(post)["client_secret"] == "s:1"
    assert "s:1" not in repr(post)


def test_a_credential_that_cannot_be_read_names_its_client(target: Target) -> None:
    with pytest.raises(BadInputError, match=r"client c: file:none\.pem: cannot be read"):
        identity(target, auth="private_key_jwt", key="file:none.pem")
