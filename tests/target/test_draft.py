"""A first target file is read back without complaint, whatever the metadata says, and holds no secret."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jwtdrill.target.draft import draft
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Environment, Target


def read_back(metadata: dict[str, Any], folder: Path) -> Target:
    path = folder / "target.toml"
    path.write_text(draft(metadata, Environment.STAGING))
    return load_target(str(path))


@pytest.mark.parametrize(
    ("offered", "auth"),
    [
        (["private_key_jwt", "client_secret_basic"], "private_key_jwt"),
        (["client_secret_post"], "client_secret_post"),
        (["tls_client_auth"], "tls"),
        (["none"], "none"),
        (["client_secret_jwt"], "client_secret_basic"),
        (None, "client_secret_basic"),
        ("client_secret_basic", "client_secret_basic"),
    ],
)
def test_the_best_authentication_that_is_offered(offered: object, auth: str, tmp_path: Path) -> None:
    target = read_back({"issuer": "https://i", "token_endpoint_auth_methods_supported": offered}, tmp_path)
    assert target.client[0].auth == auth
    assert target.environment is Environment.STAGING


def test_algorithm_and_scope_are_taken_from_what_is_offered(tmp_path: Path) -> None:
    metadata = {
        "issuer": "https://i",
        "token_endpoint": "https://i/t",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["none", "PS256"],
        "scopes_supported": ["openid", "read"],
    }
    client = read_back(metadata, tmp_path).client[0]
    assert (client.alg, client.scope) == ("PS256", "read")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(
    methods=st.lists(st.text()),
    endpoint=st.text(),
    scopes=st.lists(st.one_of(st.text(), st.integers(), st.none())),
)
def test_foreign_text_breaks_nothing(methods: list[str], endpoint: str, scopes: list[object], tmp_path: Path) -> None:
    metadata = {
        "issuer": "https://i",
        "token_endpoint": endpoint,
        "token_endpoint_auth_methods_supported": methods,
        "scopes_supported": scopes,
    }
    assert read_back(metadata, tmp_path).issuer.url == "https://i"
