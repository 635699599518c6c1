"""What each process of the lab is told, as JSON in a file of the lab's folder; and the two profiles of times."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from jwtdrill.verify import ForwardedCertificates

T = TypeVar("T")
SETTINGS_VARIABLE = "JWTDRILL_SETTINGS"


@dataclass(frozen=True)
class Profile:
    """Times of the lab in seconds: of its tokens, caches and metrics."""

    name: str
    token_lifetime: int
    max_age: int
    stale_limit: float
    leeway: float
    retry_most: float
    offset_window: float
    proxied: bool  # whether clients reach the token and introspection endpoints by way of the fault proxy
    movable: tuple[str, ...]  # services whose clocks a drill may move, which costs them some throughput


# Short enough that a fault of half a minute is felt.
DRILL = Profile("drill", 60, 5, 15, 2, 1, 10, proxied=True, movable=("issuer", "verifier-b"))
NORMAL = Profile("normal", 300, 300, 14400, 30, 30, 60, proxied=False, movable=("verifier-b",))
PROFILES = {profile.name: profile for profile in (DRILL, NORMAL)}


@dataclass(frozen=True)
class ClientSettings:
    """A client that the issuer knows: its public key as a JWK and the algorithm bound to it, or a secret, or the
    thumbprint of its certificate; scopes.
    """

    id: str
    jwk: dict[str, str]
    alg: str
    scopes: tuple[str, ...]
    secret: str = field(default="", repr=False)
    certificate: str = ""


@dataclass(frozen=True)
class IssuerSettings:
    """`key_file`: the first signing key; `admin_token_file`: what the admin interface asks for.

    token_padding: characters of a claim that says nothing, for tokens as large as some in the field. foreign_issuer and
    foreign_jwks: one whose tokens are exchanged. nonces: whether a proof must carry a nonce of this server.
    token_endpoint, introspection_endpoint: where clients reach them, if not at its own URL.
    mtls_url: where clients with a certificate come in; edge_secret_file: by which the edge there is known.
    """

    url: str
    port: int
    audience: str
    token_lifetime: int
    max_age: int
    leeway: float
    key_file: str
    key_alg: str
    admin_token_file: str
    token_padding: int
    clients: tuple[ClientSettings, ...]
    foreign_issuer: str = ""
    foreign_jwks: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    nonces: bool = False
    token_endpoint: str = ""
    introspection_endpoint: str = ""
    mtls_url: str = ""
    edge_secret_file: str = ""


@dataclass(frozen=True)
class VerifierSettings:
    """`jwks_uri`: by way of the fault agent; `min_lifetime`: of its cache, in which verifiers differ.

    decisions: accepted tokens that it remembers. revocations: URL of the list of revoked tokens, fetched every second.
    nonces: whether a proof must carry a nonce of this server. edge_secret_file: by which the edge is known that tells
    of clients' certificates. role: that the security token service beside the resource gives credentials of.
    """

    name: str
    port: int
    issuer: str
    jwks_uri: str
    audience: str
    scope: str
    route: str
    clients: tuple[str, ...]
    algorithms: tuple[str, ...]
    min_lifetime: float
    stale_limit: float
    retry_most: float
    leeway: float
    offset_window: float
    decisions: int
    revocations: str = ""
    nonces: bool = False
    edge_secret_file: str = ""
    role: str = ""


def write_settings(path: Path, settings: object) -> None:
    """Write settings as JSON that only the owner may read."""
    path.write_bytes(TypeAdapter(type(settings)).dump_json(settings, indent=2))
    path.chmod(0o600)


def read_settings(into: type[T]) -> T:
    """The settings of this process, from the file that the environment names."""
    return TypeAdapter(into).validate_json(Path(os.environ[SETTINGS_VARIABLE]).read_bytes())


def forwarded_certificates(secret_file: str) -> ForwardedCertificates | None:
    """What knows clients' certificates, where there is an edge that tells of them."""
    return ForwardedCertificates(Path(secret_file).read_text()) if secret_file else None
