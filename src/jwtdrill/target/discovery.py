"""Finds an issuer's endpoints from its metadata (RFC 8414, OpenID Connect Discovery 1.0)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.documents import Document, fetch
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Issuer, Target, check_url


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where an issuer is spoken to."""

    issuer: str
    token: str
    jwks: str
    introspection: str = ""
    revocation: str = ""
    metadata: str = ""
    grant_types: tuple[str, ...] | None = None  # as the metadata has them; None where nothing is said
    aliases: Mapping[str, str] = field(default_factory=dict)  # for clients with a certificate (RFC 8705 section 5)

    def offers(self, grant_type: str) -> bool:
        """Whether the issuer may grant so: it says so, or says nothing."""
        return self.grant_types is None or grant_type in self.grant_types

    def over_mutual_tls(self) -> "Endpoints":
        """Those that a client with a certificate is to use."""
        return replace(
            self,
            token=self.aliases.get("token_endpoint", self.token),
            introspection=self.aliases.get("introspection_endpoint", self.introspection),
            revocation=self.aliases.get("revocation_endpoint", self.revocation),
        )


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Where the metadata may lie: RFC 8414 section 3.1 inserts before the path, OpenID appends to it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    inserted = urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}"))
    appended = urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration"))
    return inserted, appended


def discover(target: Target, other: str | None = None) -> Endpoints:
    """The endpoints: those of the target file, and for the others the issuer's metadata.

    other: the URL of an issuer beside the target file's. Raises MissingPartError when the issuer does not answer,
    BadInputError when its metadata cannot be used.
    """
    issuer = Issuer(url=other) if other is not None else target.issuer
    if issuer.token_endpoint and issuer.jwks_uri:
        introspection, revocation = issuer.introspection_endpoint or "", issuer.revocation_endpoint or ""
        return Endpoints(issuer.url, issuer.token_endpoint, issuer.jwks_uri, introspection, revocation)
    document = metadata(issuer.url, tls_context(target))
    found = document.members()
    if found.get("issuer") != issuer.url:
        named = str(found.get("issuer"))[:200]
        raise BadInputError(f"{issuer.url}: its metadata names another issuer, {named!r}: set issuer.url to just that")
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
    introspection, revocation = (url if isinstance(url, str) else "" for url in more)
    for url in filter(None, (token, jwks, introspection, revocation)):
        try:
            check_url(url)
        except ValueError as error:
            raise BadInputError(f"{document.url}: an endpoint in it {error}") from None
    grants = found.get("grant_types_supported")
    granted = tuple(name for name in grants if isinstance(name, str)) if isinstance(grants, list) else None
    given = found.get("mtls_endpoint_aliases")
    aliases = {
        name: url
        for name, url in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(url, str) and getattr(issuer, name, None) is None  # what the target file names counts
    }
    return Endpoints(issuer.url, token, jwks, introspection, revocation, document.url, granted, aliases)


def require_keys(target: Target, endpoints: Endpoints) -> tuple[Mapping[str, Any], ...]:
    """The published keys, before anything is done to a target whose verifiers depend on them.

    Raises MissingPartError when they cannot be had, BadInputError when what is served is no key set.
    """
    found = fetch(endpoints.jwks, tls_context(target))
    if found.status != httpx.codes.OK:
        raise MissingPartError(f"{endpoints.jwks}: the key set cannot be fetched (status {found.status})")
    keys = found.members().get("keys")
    if not isinstance(keys, list) or not keys:
        raise BadInputError(f"{endpoints.jwks}: it is no key set, or holds no keys: check jwks_uri under [issuer]")
    return tuple(key for key in keys if isinstance(key, dict))


def metadata(issuer: str, tls: ssl.SSLContext) -> Document:
    """The issuer's metadata, from the first place that has it. Raises MissingPartError, BadInputError."""
    places = metadata_urls(issuer)
    for url in places:
        found = fetch(url, tls)
        if found.status == httpx.codes.OK:
            found.members()
            return found
    raise BadInputError(
        f"{issuer}: the issuer has no metadata at {places[0]} (status {found.status}) nor where OpenID has it: "
        "is it the issuer's URL? Without metadata name token_endpoint and jwks_uri under [issuer] of a target file"
    )
