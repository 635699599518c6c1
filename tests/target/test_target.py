"""The target file is validated whole, with the line of each mistake, and gives no secret away."""

from pathlib import Path

import pytest

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.discovery import discover, metadata_urls
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Environment, Target

GOOD = """\
environment = "staging"

[issuer]
url = "https://idp.example/realms/shop"

[[client]]
id = "orders"
auth = "private_key_jwt"
key = "file:orders.pem"
alg = "ES256"
scope = "orders:read"
params = { resource = "https://api.example" }

[[token]]
value = "command:./get-token"

[[signer]]
key = "file:keys/staging-signer.pem"
kid = "2026-11"
alg = "RS256"

[[resource]]
url = "https://api.example/orders?x=1"
audience = "https://api.example"
method = "POST"
headers = { Accept = "application/json" }
body = "{}"
one_time = true

[limits]
rate = 500
tokens = 1000

[break]
faults = ["jwks.*", "keys.rotate_without_overlap"]
proxy = "http://127.0.0.1:18474"

[watch]
prometheus = "http://127.0.0.1:9090"
alertmanager = "http://127.0.0.1:9093"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "target.toml"
    path.write_text(text)
    return path


def test_the_file_of_the_design_is_read(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path, GOOD)))
    assert target.environment is Environment.STAGING
    assert target.resource[0].label == "https://api.example/orders"
    assert target.client[0].assertion_audience == "issuer"
    assert target.break_.allows("jwks.status")
    assert not target.break_.allows("clock.skew")


def test_the_least_file_is_enough(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path, 'environment = "dev"\n[issuer]\nurl = "http://x"\n')))
    assert target.limits.tokens == 1000
    assert not target.break_.allows("jwks.status")
    with pytest.raises(BadInputError, match=r"no \[\[client\]\]"):
        target.require_client()


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('"staging"', '"prod"', 1, "environment"),
        ("https://idp.example", "idp.example", 4, "http or https URL"),
        ('id = "orders"', 'id = "orders"\nsecrt = "x"', 8, "is not known here"),
        ('key = "file:orders.pem"', "", 6, "needs a key"),
        ("file:orders.pem", "-----BEGIN PRIVATE KEY-----", 9, "must be a reference"),
        ('alg = "ES256"', 'alg = "ES999"', 10, "alg"),
        ("rate = 500", "rate = 0", 31, "greater than 0"),
        ('audience = "https://api.example"\n', "", 22, "is missing"),
    ],
)
def test_each_mistake_has_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(BadInputError, match=message) as caught:
        load_target(str(path))
    assert f"{path}:{line}:" in str(caught.value)
    assert "BEGIN PRIVATE" not in str(caught.value)


def test_two_resources_of_one_name_are_refused(tmp_path: Path) -> None:
    text = GOOD + '\n[[resource]]\nurl = "https://api.example/orders"\naudience = "a"\n'
    with pytest.raises(BadInputError, match="two resources are called"):
        load_target(str(write(tmp_path, text)))


def test_production_is_refused_where_it_must_be(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path, GOOD.replace("staging", "production", 1))))
    with pytest.raises(BadInputError, match="never runs there"):
        target.refuse_production("load")


def test_without_a_lab_the_name_lab_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWTDRILL_LAB", str(tmp_path / "none"))
    with pytest.raises(MissingPartError, match="jwtdrill lab up"):
        load_target("lab")


def test_references_are_read_from_where_they_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = load_target(str(write(tmp_path, GOOD)))
    (tmp_path / "orders.pem").write_text("pem")
    monkeypatch.setenv("A_SECRET", "value")
    assert target.read("file:orders.pem") == b"pem"
    assert target.read("env:A_SECRET") == b"value"
    assert target.read("command:echo 'a b'") == b"a b"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("file:none.pem", "No such file"),
        ("env:NOT_SET_AT_ALL", "not set"),
        ("command:false", "CalledProcessError"),
        ("command:/no/such/program", "FileNotFoundError"),
    ],
)
def test_an_unreadable_reference_is_one_line(tmp_path: Path, reference: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        load_target(str(write(tmp_path, GOOD))).read(reference)


def test_a_ca_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(BadInputError, match="no certificate in PEM"):
        tls_context(load_target(str(write(tmp_path, GOOD + '\n[tls]\nca = "file:ca.pem"\n'))))


@pytest.mark.parametrize(
    ("issuer", "inserted", "appended"),
    [
        (
            "https://idp.example/realms/shop",
            "https://idp.example/.well-known/oauth-authorization-server/realms/shop",
            "https://idp.example/realms/shop/.well-known/openid-configuration",
        ),
        (
            "https://idp.example/",
            "https://idp.example/.well-known/oauth-authorization-server",
            "https://idp.example/.well-known/openid-configuration",
        ),
    ],
)
def test_where_metadata_may_lie(issuer: str, inserted: str, appended: str) -> None:
    assert metadata_urls(issuer) == (inserted, appended)


def test_a_dead_issuer_is_one_line(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path, 'environment = "dev"\n[issuer]\nurl = "http://127.0.0.1:1"\n')))
    with pytest.raises(MissingPartError, match=r"nobody listens at 127\.0\.0\.1:1: is it up\?"):
        discover(target)


def test_endpoints_of_the_file_need_no_metadata() -> None:
    issuer = {"url": "http://x", "token_endpoint": "http://x/t", "jwks_uri": "http://x/j"}
    endpoints = discover(Target.model_validate({"environment": "dev", "issuer": issuer}))
    assert (endpoints.token, endpoints.jwks) == ("http://x/t", "http://x/j")
