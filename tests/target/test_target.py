"""The target file is validated whole, with the line of each mistake, and gives no secret away."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.discovery import discover, metadata_urls
from jwtdrill.target.load import load_target, tls_context
from jwtdrill.target.model import Environment, Resource, Target, check_url

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
        ("command:false", "failed with exit status 1"),
        ("command:/no/such/program", "cannot be run: No such file"),
        ('command:echo "x', "is no command: No closing quotation"),
        ("command: ", "names no command"),
        ("file:~nobody-of-that-name/x", "is no path"),
        ("file:a\0b", "is no path"),
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


@pytest.mark.parametrize(
    "url",
    [
        *("http://idp:99999", "http://[::1", "http://idp:0", "http://idp/\u2603", "http://idp/a b", "ftp://idp"),
        *("https://u:secretpassword@idp", "https://secretuser@idp", "http://idp/\r\nx: y", ""),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_and_no_password_is_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must be a") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"client": [{"id": "", "auth": "none"}]}, "at least 1 character"),
        ({"client": [{"id": "a-{n}", "auth": "none"}]}, "needs a count"),
        ({"client": [{"id": "a", "auth": "none", "count": 3}]}, "needs {n} in the id"),
        ({"client": [{"id": "a", "auth": "tls"}]}, "needs a certificate"),
        (
            {"client": [{"id": "a", "auth": "none", "certificate_key": "file:x"}]},
            "certificate_key belongs to a certificate",
        ),
        ({"client": [{"id": "a", "auth": "none", "weight": 0}]}, "greater than or equal to 1"),
        ({"resource": [{"url": "http://r", "audience": "a", "mtls": True}]}, "mtls needs an https URL"),
        ({"resource": [{"url": "http://r", "audience": "a", "nodes": ["http://r"]}]}, "nodes must be other URLs"),
        ({"resource": [{"url": "http://r", "audience": "a", "method": "GE T"}]}, "must be an HTTP method"),
        ({"resource": [{"url": "http://r", "audience": "a", "headers": {"X": "\u2603"}}]}, "printable ASCII"),
        ({"resource": [{"url": "http://r", "audience": "a", "headers": {"X": "a\r\nY: b"}}]}, "printable ASCII"),
        ({"resource": [{"url": "http://r", "audience": "a", "headers": {"X Y": "a"}}]}, "no header's name"),
    ],
)
def test_what_could_not_be_sent_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Target.model_validate({"environment": "test", "issuer": {"url": "http://i"}, **table})
    assert message in str(caught.value)


def test_a_method_is_written_as_servers_read_it() -> None:
    resource = Resource.model_validate({"url": "http://r", "audience": "a", "method": "get"})
    assert resource.method == "GET"


def test_tokens_by_reference_are_tokens(tmp_path: Path) -> None:
    target = load_target(str(write(tmp_path, GOOD)))
    for content, message in (
        (b"", "is empty"),
        (b"a b", "is no token"),
        (b"\xff\xfe", "UTF-8"),
        ("☃".encode(), "no token"),
    ):
        (tmp_path / "token").write_bytes(content)
        with pytest.raises(BadInputError, match=message):
            target.read_token("file:token")


def test_the_first_client_is_one_of_the_issuers_own(tmp_path: Path) -> None:
    """A secret of another issuer's client must never be shown to this one."""
    text = GOOD.replace('id = "orders"', 'id = "orders"\nissuer = "https://other.example"')
    target = load_target(str(write(tmp_path, text)))
    assert target.first_client is None
    with pytest.raises(BadInputError, match=r"of \[issuer\]'s"):
        target.require_client()
