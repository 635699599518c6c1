"""The lab grants what the RFCs say: delegation, foreign tokens, rotation of refresh tokens, revocation, proofs."""

import base64
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from tests.lab.test_issuer import URL, Issuer

from jwtdrill.flows.exchange import Response
from jwtdrill.flows.proof import Prover
from jwtdrill.flows.refresh import REFRESH_TOKEN
from jwtdrill.flows.token import CLIENT_ASSERTION, JWT_BEARER
from jwtdrill.flows.token_exchange import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE
from jwtdrill.lab.issuer import IssuerService
from jwtdrill.lab.settings import ClientSettings, IssuerSettings
from jwtdrill.tokens.certificates import self_signed
from jwtdrill.tokens.digests import certificate_thumbprint
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.tokens.minter import Minter
from jwtdrill.verify.certificate import forwarded

FOREIGN = "https://partner"
BASIC = {"Authorization": f"Basic {base64.b64encode(b'p:s%3A1').decode()}"}


class Grants(Issuer):
    """An issuer with every grant; `p` is a client with a secret."""

    def __init__(
        self,
        keys: dict[Algorithm, SigningKey],
        *,
        nonces: bool = False,
        certificate: str = "",
        edge_secret_file: str = "",
    ) -> None:
        super().__init__(keys)
        self.foreign = SigningKey.generate(Algorithm.ES256, "f1")
        settings = IssuerSettings(
            *(URL, 9, "https://api", 60, 5, 2, "", "RS256", "", 0),
            (
                ClientSettings("c", self.client.public_jwk(), "ES256", ("read", "offline_access")),
                ClientSettings("p", {}, "", ("read",), "s:1"),
                ClientSettings("d", {}, "", ("read",), certificate=certificate),
            ),
            foreign_issuer=FOREIGN,
            foreign_jwks=jwks([self.foreign]),
            nonces=nonces,
            mtls_url="https://mtls" if certificate else "",
            edge_secret_file=edge_secret_file,
        )
        self.service = IssuerService(settings, keys[Algorithm.RS256], "admin")
        self._transport = httpx.ASGITransport(self.service.application())

    def good(self, **more: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.bearer(self.assertion(sub="alice"), **more).json()
        return answer

    def as_partner(self, path: str = "/token", **form: str) -> httpx.Response:
        return self.send("POST", path, data=form, headers=BASIC)

    def as_client(self, path: str = "/token", **form: str) -> httpx.Response:
        form |= {"client_assertion_type": CLIENT_ASSERTION, "client_assertion": self.assertion()}
        return self.send("POST", path, data=form)

    def foreign_token(self, key: SigningKey | None = None, **changes: Any) -> str:
        now = int(time.time())
        payload = {"iss": FOREIGN, "sub": "bob", "aud": URL, "exp": now + 60, "roles": ["buyer"]} | changes
        return Minter(key or self.foreign, "JWT").mint_payload(payload)


@pytest.fixture
def issuer(keys: dict[Algorithm, SigningKey]) -> Grants:
    return Grants(keys)


def claims(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return jwt.decode(answer.json()["access_token"], options={"verify_signature": False})


def test_a_secret_is_as_good_in_the_header_as_in_the_form(issuer: Grants) -> None:
    assert claims(issuer.as_partner(grant_type="client_credentials"))["sub"] == "p"
    in_form = issuer.token(grant_type="client_credentials", client_id="p", client_secret="s:1")
    assert claims(in_form)["client_id"] == "p"
    for form in ({"client_id": "p", "client_secret": "x"}, {"client_id": "c"}, {"client_id": "c", "client_secret": ""}):
        assert issuer.token(grant_type="client_credentials", **form).json()["error"] == "invalid_client"
    both = issuer.as_partner(grant_type="client_credentials", client_secret="s:1")
    assert both.json()["error"] == "invalid_request"


def test_an_exchange_keeps_the_subject_and_names_the_actor(issuer: Grants) -> None:
    subject = issuer.good()["access_token"]
    actor = issuer.as_partner(grant_type="client_credentials").json()["access_token"]
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN}
    answer = issuer.as_partner(**form, actor_token=actor, actor_token_type=ACCESS_TOKEN)
    assert answer.json()["issued_token_type"] == ACCESS_TOKEN
    once = claims(answer)
    assert (once["sub"], once["client_id"], once["act"]) == ("alice", "p", {"sub": "p"})
    again = {**form, "subject_token": answer.json()["access_token"]}
    twice = claims(issuer.as_partner(**again, actor_token=subject, actor_token_type=ACCESS_TOKEN))
    assert twice["act"] == {"sub": "alice", "act": {"sub": "p"}}
    assert claims(issuer.as_partner(**again))["act"] == {"sub": "p"}


def test_a_foreign_token_becomes_one_of_ours(issuer: Grants) -> None:
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": JWT}
    local = claims(issuer.as_partner(**form, subject_token=issuer.foreign_token()))
    assert (local["iss"], local["sub"], local["idp"], local["roles"]) == (URL, "bob", FOREIGN, ["buyer"])
    for bad in (
        issuer.foreign_token(SigningKey.generate(Algorithm.ES256, "f1")),
        issuer.foreign_token(aud="https://other"),
        issuer.foreign_token(iss="https://stranger"),
        issuer.foreign_token(exp=1_600_000_000),
        issuer.foreign_token(exp="soon"),
        issuer.foreign_token(sub=7),
        "a.b.c",
    ):
        assert issuer.as_partner(**form, subject_token=bad).json()["error"] == "invalid_grant"


def test_a_refresh_token_is_good_once_and_its_second_use_ends_the_family(issuer: Grants) -> None:
    first = issuer.good(scope="read offline_access")["refresh_token"]
    assert "refresh_token" not in issuer.good(scope="read")

    def refresh(token: str) -> httpx.Response:
        form = {"grant_type": REFRESH_TOKEN, "refresh_token": token}
        client = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        return issuer.token(**form, **client, client_assertion=issuer.assertion())

    answer = refresh(first)
    assert claims(answer)["sub"] == "alice"
    second = answer.json()["refresh_token"]
    assert second != first
    assert "used before" in refresh(first).json()["error_description"]
    assert refresh(second).json()["error"] == "invalid_grant"
    other = issuer.good(scope="read offline_access")["refresh_token"]
    stolen = issuer.as_partner(grant_type=REFRESH_TOKEN, refresh_token=other)
    assert stolen.json()["error"] == "invalid_grant"
    assert refresh(other).status_code == 200


def test_introspection_and_revocation_tell_the_same(issuer: Grants) -> None:
    token = issuer.good()["access_token"]
    seen = issuer.as_partner("/introspect", token=token).json()
    assert (seen["active"], seen["sub"], seen["token_type"]) == (True, "alice", "Bearer")
    assert issuer.send("POST", "/introspect", data={"token": token}).status_code == 401
    assert issuer.send("GET", "/revoked").json() == {"revoked": [], "keys": []}
    assert issuer.as_partner("/revoke", token=token).json()["error"] == "unauthorized_client"  # it is another's
    assert issuer.as_partner("/introspect", token=token).json()["active"]
    assert issuer.as_client("/revoke", token=token).status_code == 200
    assert issuer.as_partner("/introspect", token=token).json() == {"active": False}
    assert issuer.send("GET", "/revoked").json() == {"revoked": [seen["jti"]], "keys": []}
    for bad in ("", "x", "a.b.c", f"{token}x"):
        assert issuer.as_partner("/introspect", token=bad).json() == {"active": False}
        assert issuer.as_partner("/revoke", token=bad).status_code == 200
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    assert issuer.as_partner(**form).json()["error"] == "invalid_grant"
    value = issuer.service.instruments.registry.get_sample_value
    assert value("jwt_introspection_total", {"issuer": URL, "result": "failure", "error": "invalid_client"}) == 1


def test_a_refresh_token_is_revoked_with_its_family(issuer: Grants) -> None:
    refresh = issuer.good(scope="read offline_access")["refresh_token"]
    assert issuer.as_partner("/revoke", token=refresh).json()["error"] == "unauthorized_client"
    form = {"grant_type": REFRESH_TOKEN, "refresh_token": refresh}
    refresh = issuer.as_client(**form).json()["refresh_token"]
    assert issuer.as_client("/revoke", token=refresh).status_code == 200
    assert issuer.as_client(**form | {"refresh_token": refresh}).json()["error"] == "invalid_grant"


def test_a_token_asked_for_with_a_certificate_is_bound_to_it(keys: dict[Algorithm, SigningKey], tmp_path: Path) -> None:
    """RFC 8705; and what tells of the certificate is believed from the edge alone (RFC 9440 section 2.4)."""
    own, other = self_signed("device"), self_signed("device")
    (tmp_path / "edge").write_text("between us")
    issuer = Grants(keys, certificate=certificate_thumbprint(own.der), edge_secret_file=str(tmp_path / "edge"))

    def ask(der: bytes, secret: str = "between us", **form: str) -> httpx.Response:
        headers = {name.decode(): value.decode() for name, value in forwarded(der, secret)}
        form = {"grant_type": "client_credentials", "client_id": "d"} | form
        return issuer.send("POST", "/token", data=form, headers=headers)

    assert claims(ask(own.der))["cnf"] == {"x5t#S256": certificate_thumbprint(own.der)}
    assert ask(own.der).json()["token_type"] == "Bearer"
    assert ask(other.der).json()["error"] == "invalid_client"
    assert ask(own.der, "a guess").json()["error"] == "invalid_client"
    assert ask(own.der, client_id="p").json()["error"] == "invalid_client"
    assert issuer.send("POST", "/token", data={"client_id": "d"}).status_code in (400, 401)
    metadata = issuer.send("GET", "/.well-known/oauth-authorization-server").json()
    assert metadata["mtls_endpoint_aliases"]["token_endpoint"] == "https://mtls/token"

    # It is exchanged with the certificate alone, and not freed from it by the way.
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": ACCESS_TOKEN}
    form["subject_token"] = ask(own.der).json()["access_token"]
    assert issuer.as_partner(**form).json()["error"] == "invalid_grant"
    assert claims(ask(own.der, **form))["cnf"] == {"x5t#S256": certificate_thumbprint(own.der)}

    # A refresh token of a bound grant is bound as well.
    headers = {name.decode(): value.decode() for name, value in forwarded(own.der, "between us")}
    form = {"grant_type": JWT_BEARER, "assertion": issuer.assertion(sub="alice"), "scope": "read offline_access"}
    refresh = issuer.send("POST", "/token", data=form, headers=headers).json()["refresh_token"]
    again = {"grant_type": REFRESH_TOKEN, "refresh_token": refresh}
    assert issuer.as_client(**again).json()["error"] == "invalid_grant"


def test_a_token_asked_for_with_a_proof_is_bound_to_its_key(keys: dict[Algorithm, SigningKey]) -> None:
    issuer, prover = Grants(keys, nonces=True), Prover()
    endpoint = f"{URL}/token"

    def ask(proof: str) -> httpx.Response:
        form = {"grant_type": JWT_BEARER, "assertion": issuer.assertion(sub="alice")}
        return issuer.send("POST", "/token", data=form, headers={"DPoP": proof})

    refused = ask(prover.proof("POST", endpoint))
    assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
    assert prover.wants_again(endpoint, Response(400, dict(refused.headers), refused.content))
    answer = ask(prover.proof("POST", endpoint))
    assert answer.json()["token_type"] == "DPoP"
    assert claims(answer)["cnf"] == {"jkt": prover.thumbprint}
    assert ask(prover.proof("GET", endpoint)).json()["error"] == "invalid_dpop_proof"
    seen = issuer.as_partner("/introspect", token=answer.json()["access_token"]).json()
    assert (seen["token_type"], seen["cnf"]) == ("DPoP", {"jkt": prover.thumbprint})
