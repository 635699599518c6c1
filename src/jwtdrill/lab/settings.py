"""What each process of the lab is told, as JSON in a file of the lab's folder; and the two profiles of times."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.verify import CachePolicy, ForwardedCertificates, JwksCache

T = TypeVar("T")
SETTINGS_VARIABLE = "JWTDRILL_SETTINGS"


@dataclass(frozen=True)
class Profile:
    """Times of the lab in seconds: of its tokens, caches and metrics.

    decision_ttl: for which gateway and authorizer go by a decision; idle: after which the authorizer's function ends.
    """

    name: str
    token_lifetime: int
    max_age: int
    stale_limit: float
    leeway: float
    retry_most: float
    offset_window: float
    decision_ttl: float
    idle: float
    proxied: bool  # whether clients reach the token and introspection endpoints by way of the fault proxy
    movable: tuple[str, ...]  # services whose clocks a drill may move, which costs them some throughput


# Short enough that a fault of half a minute is felt.
DRILL = Profile("drill", 60, 5, 15, 2, 1, 10, 5, 10, proxied=True, movable=("issuer", "verifier-b"))
NORMAL = Profile("normal", 300, 300, 14400, 30, 30, 60, 300, 600, proxied=False, movable=("verifier-b",))
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
class KeySource:
    """Where a key set is fetched, by whom, and how it is cached (see CachePolicy). Times in seconds."""

    jwks_uri: str
    user_agent: str
    min_lifetime: float
    stale_limit: float
    retry_most: float
    allowance: int = 4

    def cache(self, issuer: str, instruments: Instruments) -> JwksCache:
        """The cache of that issuer's keys."""
        policy = CachePolicy(
            min_lifetime=self.min_lifetime,
            stale_limit=self.stale_limit,
            retry_first=min(1.0, self.retry_most),
            retry_most=self.retry_most,
            allowance=self.allowance,
        )
        return JwksCache(self.jwks_uri, issuer, policy=policy, instruments=instruments, user_agent=self.user_agent)


@dataclass(frozen=True)
class IssuerSettings:
    """`key_file`: the first signing key; `admin_token_file`: what the admin interface asks for.

    token_padding: characters of a claim that says nothing, for tokens as large as some in the field. foreign_issuer:
    one whose tokens are exchanged, by the keys of foreign_jwks, or of foreign_keys where they are fetched. nonces:
    whether a proof must carry a nonce of this server. token_endpoint, introspection_endpoint: where clients reach
    them, if not at its own URL. mtls_url: where clients with a certificate come in; edge_secret_file: by which the
    edge there is known.
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
    foreign_keys: KeySource | None = None
    nonces: bool = False
    token_endpoint: str = ""
    introspection_endpoint: str = ""
    mtls_url: str = ""
    edge_secret_file: str = ""


@dataclass(frozen=True)
class VerifierSettings:
    """`keys`: by way of the fault agent; in how they are cached verifiers differ.

    decisions: accepted tokens that it remembers, for decision_lifetime seconds at most, or until they expire.
    revocations: URL of the list of revoked tokens and keys, fetched every second. upstream: of the service that it
    stands before; it is the service itself without. one_time_route: where a token is good once only. most_scope: that
    a token should carry. trusted_proxies: whose word on a client's address is believed.
    nonces: whether a proof must carry a nonce of this server. edge_secret_file: by which the edge is known that tells
    of clients' certificates. role: that the security token service beside the resource gives credentials of.
    """

    name: str
    port: int
    issuer: str
    keys: KeySource
    audience: str
    scope: str
    route: str
    clients: tuple[str, ...]
    algorithms: tuple[str, ...]
    leeway: float
    offset_window: float
    decisions: int
    decision_lifetime: float | None = None
    upstream: str = ""
    revocations: str = ""
    one_time_route: str = ""
    most_scope: tuple[str, ...] | None = None
    trusted_proxies: tuple[str, ...] = ()
    nonces: bool = False
    edge_secret_file: str = ""
    role: str = ""


@dataclass(frozen=True)
class AuthorizerSettings:
    """`guard`: how its function verifies. ttl: seconds that what it decided stands; idle: seconds without a call after
    which the function is started anew, which takes start_seconds.
    """

    guard: VerifierSettings
    ttl: float
    idle: float
    start_seconds: float = 0.15


@dataclass(frozen=True)
class IntrospectionSettings:
    """`guard`: what is protected and what its tokens must be; each is asked of introspection_uri as that client.

    timeout: seconds for an answer.
    """

    guard: VerifierSettings
    introspection_uri: str
    client_id: str
    secret_file: str
    user_agent: str
    timeout: float = 2.0


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
