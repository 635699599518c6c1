"""The lines of *Reading the answer* for the flows beyond a token and a call; what a resource may say otherwise."""

import pytest
from pydantic import ValidationError
from tests.flows.test_flows import form_of

from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.flows.call import Call, challenge_error
from jwtdrill.flows.documents import Document
from jwtdrill.flows.exchange import Response
from jwtdrill.flows.introspection import Introspection
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.refresh import Refresh
from jwtdrill.flows.revocation import Revocation
from jwtdrill.flows.sts import AssumeRole
from jwtdrill.flows.token import ClientIdentity
from jwtdrill.flows.token_exchange import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE, Broker, TokenExchange
from jwtdrill.target.discovery import Endpoints
from jwtdrill.target.model import Client, Resource, Sts, Target
from jwtdrill.tokens.cases import Carrier

ENDPOINTS = Endpoints("https://i", "https://i/token", "https://i/jwks", "https://i/introspect", "https://i/revoke")


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> ClientIdentity:
    monkeypatch.setenv("SECRET", "s")
    target = Target.model_validate({"environment": "dev", "issuer": {"url": "https://i"}})
    client = {
        "id": "c",
        "auth": "client_secret_post",
        "secret": "env:SECRET",
        "scope": "a",
        "params": {"resource": "r"},
    }
    return ClientIdentity(Client.model_validate(client), target, ENDPOINTS)


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200, body=b'{"active": true}'), Verdict.ACCEPTED),
        (Response(200, body=b'{"active": false}'), Verdict.REJECTED),
        (Response(200, body=b'{"active": "true"}'), Verdict.ERRORED),
        (Response(200, body=b"{}"), Verdict.ERRORED),
        (Response(200, body=b"<html>"), Verdict.ERRORED),
        (Response(413), Verdict.REJECTED),
        (Response(401, body=b'{"error": "invalid_client"}'), Verdict.ERRORED),
        (Response(429), Verdict.THROTTLED),
        (Response(500), Verdict.ERRORED),
        (Response(0, error="refused"), Verdict.ERRORED),
    ],
)
def test_introspection(identity: ClientIdentity, response: Response, verdict: Verdict) -> None:
    flow = Introspection(identity)
    assert flow.judge(response).verdict is verdict
    request = flow.request("t")
    assert request.url == "https://i/introspect"
    assert form_of(request) == {
        "token": "t",
        "token_type_hint": "access_token",
        "client_id": "c",
        "client_secret": "s",
    }


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200), Verdict.ACCEPTED),
        (Response(503, {"retry-after": "1"}), Verdict.THROTTLED),
        (Response(400, body=b'{"error": "unsupported_token_type"}'), Verdict.ERRORED),
    ],
)
def test_revocation_says_little_by_itself(identity: ClientIdentity, response: Response, verdict: Verdict) -> None:
    flow = Revocation(identity)
    assert flow.judge(response).verdict is verdict
    assert form_of(flow.request("t", "refresh_token"))["token_type_hint"] == "refresh_token"


GRANTED = b"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId></Credentials>"


def sts_error(code: str, status: int = 400) -> Response:
    return Response(status, body=f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode())


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200, body=GRANTED), Verdict.ACCEPTED),
        (Response(200, body=b'{"Credentials": {"AccessKeyId": "ASIA1"}}'), Verdict.ACCEPTED),
        (Response(200, body=b"<AccessKeyId></AccessKeyId>"), Verdict.ERRORED),
        (Response(200, body=b"<html>"), Verdict.ERRORED),
        (sts_error("ExpiredTokenException"), Verdict.REJECTED),
        (sts_error("InvalidIdentityToken"), Verdict.REJECTED),
        (sts_error("IDPRejectedClaim", 403), Verdict.REJECTED),
        (sts_error("AccessDenied", 403), Verdict.REJECTED),
        (Response(400, body=b'{"Error": {"Code": "InvalidIdentityToken"}}'), Verdict.REJECTED),
        (Response(400, body=b'{"Error": []}'), Verdict.ERRORED),
        (sts_error("IDPCommunicationError"), Verdict.ERRORED),
        (sts_error("RegionDisabledException", 403), Verdict.ERRORED),
        (sts_error("InvalidIdentityToken", 500), Verdict.ERRORED),
        (sts_error("Throttling"), Verdict.THROTTLED),
        (Response(429), Verdict.THROTTLED),
        (Response(413), Verdict.REJECTED),
        (Response(0, error="timeout"), Verdict.ERRORED),
    ],
)
def test_a_token_service_gives_credentials_or_says_why_not(response: Response, verdict: Verdict) -> None:
    flow = AssumeRole(Sts(url="https://sts", role="arn:r", params={"DurationSeconds": "900"}))
    assert flow.judge(response).verdict is verdict
    assert form_of(flow.request("t")) == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:r",
        "RoleSessionName": "jwtdrill",
        "WebIdentityToken": "t",
        "DurationSeconds": "900",
    }


def test_an_exchange_says_what_it_has_and_for_whom(identity: ClientIdentity) -> None:
    form = form_of(TokenExchange(identity).request("s", actor="a"))
    assert (form["grant_type"], form["subject_token"], form["subject_token_type"]) == (
        TOKEN_EXCHANGE,
        "s",
        ACCESS_TOKEN,
    )
    assert (form["actor_token"], form["actor_token_type"], form["scope"], form["resource"]) == (
        "a",
        ACCESS_TOKEN,
        "a",
        "r",
    )
    assert form_of(Broker(identity).request("s", subject_type=JWT))["subject_token_type"] == JWT


def test_a_refresh_asks_for_what_was_granted_and_no_more(identity: ClientIdentity) -> None:
    form = form_of(Refresh(identity).request("r"))
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "r")
    assert "scope" not in form


def test_a_document_is_asked_for_again_only_if_it_has_changed() -> None:
    document = Document("jwks", "https://i/jwks", "keys")
    assert document.judge(Response(304)).verdict is Verdict.ERRORED  # nothing was on hand
    answer = Response(200, {"etag": '"1"', "last-modified": "yesterday"}, b'{"keys": []}')
    assert document.judge(answer).verdict is Verdict.ACCEPTED
    asked = document.request().headers
    assert (asked["If-None-Match"], asked["If-Modified-Since"]) == ('"1"', "yesterday")
    assert document.judge(Response(304)).verdict is Verdict.ACCEPTED
    assert document.judge(Response(200, body=b"[]")).verdict is Verdict.ERRORED
    assert document.judge(Response(503)).verdict is Verdict.ERRORED


def resource(**more: object) -> Resource:
    return Resource.model_validate({"url": "https://a/x?y=1", "audience": "a", **more})


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (Response(200, body=b'{"code": 401}'), Verdict.REJECTED),
        (Response(200, body=b'{"code": 0}'), Verdict.ACCEPTED),
        (Response(404, {"x-auth": "denied: expired"}), Verdict.REJECTED),
        (Response(404, {"x-auth": "ok"}), Verdict.ACCEPTED),
        (Response(404), Verdict.ERRORED),
        (Response(401), Verdict.REJECTED),
    ],
)
def test_a_resource_may_say_otherwise(response: Response, verdict: Verdict) -> None:
    call = Call(
        resource(
            rejects=[{"status": [200], "body": '"code": 4\\d\\d'}, {"header": "X-Auth", "pattern": "^denied"}],
            accepts=[{"status": [404], "header": "X-Auth", "pattern": "ok"}],
        )
    )
    assert call.judge(response).verdict is verdict


@pytest.mark.parametrize("reading", [{}, {"pattern": "x"}, {"body": "("}, {"status": [99]}, {"body": "x", "colour": 1}])
def test_a_reading_that_means_nothing_is_refused(reading: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        resource(rejects=[reading])


def test_carriers_bear_the_token_where_they_say() -> None:
    call = Call(resource())
    assert call.request("t", Carrier.QUERY).url == "https://a/x?y=1&access_token=t"
    assert call.request("t", Carrier.FORM).body == b"access_token=t"
    assert call.request("t", Carrier.NOTHING).headers == {}
    assert len(call.request("t", Carrier.TWO_HEADERS).headers) == 2
    assert call.request("t", Carrier.OTHER_SCHEME).headers["Authorization"] == "Basic t"
    assert Prover().proved(call.request("t"), "t").headers["Authorization"] == "DPoP t"


@pytest.mark.parametrize(
    ("challenge", "code"),
    [
        ('Bearer realm="x", error="invalid_token"', "invalid_token"),
        ("Bearer error=insufficient_scope", "insufficient_scope"),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_the_code_of_a_challenge(challenge: str, code: str) -> None:
    assert challenge_error(Response(401, {"www-authenticate": challenge})) == code
