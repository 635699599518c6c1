"""Finds an issuer's endpoints from its metadata (RFC 8414, OpenID Connect Discovery 1.0)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target

_TIMEOUT = 10.0
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an issuer is spoken to."""

    issuer: str
    token: str
    jwks: str
    introspection: str = ""
    revocation: str = ""


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Where the metadata may lie: RFC 8414 section 3.1 inserts before the path, OpenID appends to it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    inserted = urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}"))
    appended = urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration"))
    return inserted, appended


def discover(target: Target) -> Endpoints:
    """The endpoints: those of the target file, and for the others the issuer's metadata.

    Raises MissingPartError when the issuer does not answer, BadInputError when its metadata cannot be used.
    """
    issuer = target.issuer
    if issuer.token_endpoint and issuer.jwks_uri:
        introspection, revocation = issuer.introspection_endpoint or "", issuer.revocation_endpoint or ""
        return Endpoints(issuer.url, issuer.token_endpoint, issuer.jwks_uri, introspection, revocation)
    with httpx.Client(verify=tls_context(target), timeout=_TIMEOUT) as client:
        found = _metadata(client, issuer.url)
    if found.get("issuer") != issuer.url:
        raise BadInputError(f"{issuer.url}: its metadata names another issuer: set issuer.url to what it names")
    token, jwks = (
        issuer.token_endpoint or found.get("token_endpoint"),
        issuer.jwks_uri or found.get("jwks_uri"),
    )
    if not isinstance(token, str) or not isinstance(jwks, str):
        raise BadInputError(f"{issuer.url}: its metadata lacks token_endpoint or jwks_uri: set them under [issuer]")
    more = (
        issuer.introspection_endpoint or found.get("introspection_endpoint"),
        issuer.revocation_endpoint or found.get("revocation_endpoint"),
    )
    return Endpoints(issuer.url, token, jwks, *(url if isinstance(url, str) else "" for url in more))


def require_keys(target: Target, endpoints: Endpoints) -> tuple[Mapping[str, Any], ...]:
    """The published keys, before anything is done to a target whose verifiers depend on them.

    Raises MissingPartError when it does not answer, BadInputError when what it serves is no key set.
    """
    where = f"{endpoints.jwks}: the key set"
    try:
        response = httpx.get(endpoints.jwks, verify=tls_context(target), timeout=_TIMEOUT)
    except httpx.HTTPError as error:
        raise MissingPartError(f"{where} cannot be fetched ({type(error).__name__}): is the issuer up?") from None
    if response.status_code != httpx.codes.OK:
        raise MissingPartError(f"{where} cannot be fetched (status {response.status_code}): is the issuer up?")
    try:
        keys = response.json()["keys"] if len(response.content) <= _MOST_BYTES else None
    except (ValueError, KeyError, TypeError):
        raise BadInputError(f"{where} is no JSON with a list of keys: check jwks_uri under [issuer]") from None
    if not isinstance(keys, list) or not keys:
        raise BadInputError(f"{where} holds no keys: check jwks_uri under [issuer]")
    return tuple(key for key in keys if isinstance(key, dict))


def _metadata(client: httpx.Client, issuer: str) -> dict[str, object]:
    problem = "does not answer"
    for url in metadata_urls(issuer):
        try:
            response = client.get(url)
        except httpx.HTTPError as error:
            raise MissingPartError(
                f"{issuer}: the issuer does not answer ({type(error).__name__}): is it up?"
            ) from None
        if response.status_code != httpx.codes.OK:
            problem = f"has no metadata at {url} (status {response.status_code})"
            continue
        try:
            content = response.json() if len(response.content) <= _MOST_BYTES else None
        except ValueError:
            content = None
        if isinstance(content, dict):
            return content
        problem = f"serves metadata at {url} that is no JSON object"
    raise BadInputError(f"{issuer}: the issuer {problem}: set token_endpoint and jwks_uri under [issuer]")
