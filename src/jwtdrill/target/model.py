"""The target file's form. Every table is closed: a key that is not known is a mistake, not a no-op."""

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from jwtdrill.errors import BadInputError
from jwtdrill.target.reference import Reference, read_reference
from jwtdrill.tokens.keys import Algorithm, SigningKey


def check_url(text: str) -> str:
    """The text, if it is an http or https URL that can be asked. Raises ValueError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"must be an http or https URL, not {text.rpartition('@')[2]!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must be a URL without user and password: credentials are references elsewhere")
    return text


def _check_method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,20}", text):
        raise ValueError(f"must be an HTTP method such as GET, not {text!r}")
    return text.upper()


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError(f"{name!r} is no header's name")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name} must be printable ASCII in one line")
    return headers


Url = Annotated[str, AfterValidator(check_url)]
Weight = Annotated[int, Field(ge=1, le=1000)]
NUMBER = "{n}"  # what stands for a client's number where one table describes many


class Environment(StrEnum):
    """Where the target runs. In production only check and canary run."""

    LAB = "lab"
    DEV = "dev"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Issuer(_Table):
    """The authorization server. Endpoints given here take the place of those in its metadata."""

    url: Url
    token_endpoint: Url | None = None
    jwks_uri: Url | None = None
    introspection_endpoint: Url | None = None
    revocation_endpoint: Url | None = None
    metrics: Url | None = None  # where its process serves Prometheus metrics, for what its CPU costs


class Client(_Table):
    """An OAuth client of ours, or `count` of them, in whose id and references {n} stands for the number, from 1.

    weight: its share of the simulated clients; where no client has one, the first is all of them.
    """

    id: Annotated[str, Field(min_length=1)]
    auth: Literal["private_key_jwt", "client_secret_basic", "client_secret_post", "tls", "none"]
    key: Reference | None = None
    secret: Reference | None = None
    certificate: Reference | None = None  # with its chain; its tokens are bound to it (RFC 8705)
    certificate_key: Reference | None = None  # by default it lies beside the certificate
    alg: Algorithm = Algorithm.ES256
    kid: str | None = None
    scope: str | None = None
    params: dict[str, str] = Field(default_factory=dict)
    assertion_audience: Literal["issuer", "token_endpoint"] = "issuer"
    refresh_token: Reference | None = None  # to begin with, where none comes with an assertion's grant
    subject: str | None = None  # of assertions as grants, {n} being the simulated client's number; by default its id
    flows: tuple[str, ...] | None = None  # that the issuer lets it use; all by default
    dpop: bool = False  # its tokens are bound to a key of its (RFC 9449)
    issuer: Url | None = None  # which it belongs to, where it is another than that of [issuer]
    count: Annotated[int, Field(ge=1, le=100_000)] = 1
    weight: Weight | None = None

    def may(self, flow: str) -> bool:
        """Whether the issuer lets it use that flow, as far as is known."""
        return self.flows is None or flow in self.flows

    @property
    def signs(self) -> bool:
        """Whether it has a key to sign assertions with."""
        return self.auth == "private_key_jwt"

    def numbered(self, number: int) -> "Client":
        """The one of that number."""
        if self.count == 1:
            return self
        named = ("id", "key", "secret", "certificate", "certificate_key", "kid", "refresh_token")
        given = {name: value for name in named if (value := getattr(self, name)) is not None}
        return self.model_copy(update={name: value.replace(NUMBER, str(number)) for name, value in given.items()})

    @model_validator(mode="after")
    def _has_credential(self) -> "Client":
        if self.auth == "private_key_jwt" and self.key is None:
            raise ValueError('auth private_key_jwt needs a key: add for example key = "file:client.pem"')
        if self.auth.startswith("client_secret") and self.secret is None:
            raise ValueError(f'auth {self.auth} needs a secret: add for example secret = "env:CLIENT_SECRET"')
        if self.auth == "tls" and self.certificate is None:
            raise ValueError('auth tls needs a certificate: add for example certificate = "file:client.pem"')
        if self.certificate_key is not None and self.certificate is None:
            raise ValueError(
                'certificate_key belongs to a certificate: add for example certificate = "file:client.pem"'
            )
        if self.count == 1 and NUMBER in self.id:
            raise ValueError(f"{NUMBER} in the id needs a count: write for example count = 1000")
        if self.count > 1 and NUMBER not in self.id:
            raise ValueError(f'count {self.count} needs {NUMBER} in the id: write for example id = "client-{NUMBER}"')
        return self


class Foreign(_Table):
    """An issuer whose tokens the issuer exchanges for its own: one of its tokens, or a key of its to sign some with.

    weight: its share of what is exchanged.
    """

    issuer: Url
    weight: Weight = 1
    token: Reference | None = None
    key: Reference | None = None
    kid: str | None = None
    alg: Algorithm = Algorithm.ES256

    @model_validator(mode="after")
    def _has_either(self) -> "Foreign":
        if (self.token is None) == (self.key is None):
            raise ValueError('a foreign issuer has either a token or a key: add for example token = "command:./token"')
        return self


class Sts(_Table):
    """A security token service that gives temporary credentials of a cloud for a token (AssumeRoleWithWebIdentity).

    token: what it is asked with, where that is another than the first client's access token: an ID token of CI, say.
    """

    url: Url
    token: Reference | None = None
    role: str
    session: str = "jwtdrill"
    params: dict[str, str] = Field(default_factory=dict)


class ReadyToken(_Table):
    """A token for users who hold no client."""

    value: Reference


class Signer(_Table):
    """A signing key of the issuer, where the user lets us hold one. kid: its RFC 7638 thumbprint by default."""

    key: Reference
    kid: str | None = None
    alg: Algorithm


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_check_pattern)]


class Reading(_Table):
    """What an answer looks like: all that is given must fit. Patterns are looked for anywhere in the text."""

    status: tuple[Annotated[int, Field(ge=100, le=599)], ...] = ()
    header: str | None = None
    pattern: Pattern | None = None  # of the header's value
    body: Pattern | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Reading":
        if not self.status and self.header is None and self.body is None:
            raise ValueError("must name a status, a header or a pattern of the body")
        if self.pattern is not None and self.header is None:
            raise ValueError("pattern is of a header's value: name the header too")
        return self


class Resource(_Table):
    """A protected resource. `name` is what metrics and reports call it; its URL without query by default.

    rejects, accepts: answers that mean so, where this resource's differ from what RFC 6750 says; looked at in that
    order, before the usual reading.
    """

    url: Url
    audience: str
    name: str | None = None
    scope: str | None = None
    method: Annotated[str, AfterValidator(_check_method)] = "GET"
    headers: Annotated[dict[str, str], AfterValidator(_check_headers)] = Field(default_factory=dict)
    body: str | None = None
    metrics: Url | None = None  # where its process serves Prometheus metrics, for what its CPU costs
    rejects: tuple[Reading, ...] = ()
    accepts: tuple[Reading, ...] = ()
    one_time: bool = False  # a token may be used once only
    dpop: bool = False  # it takes tokens that are bound to a key, with a proof (RFC 9449)
    mtls: bool = False  # it is called over mutual TLS alone, with tokens bound to the certificate (RFC 8705)
    nodes: tuple[Url, ...] = ()  # the same resource at its other nodes or regions, each by its own URL
    weight: Weight = 1  # its share of the calls
    types: tuple[str, ...] = ()  # of token that it takes, as in the header's typ; any by default
    leeway: Annotated[float, Field(ge=0)] = 60  # seconds of clock difference that it forgives, at most

    @property
    def label(self) -> str:
        """Name in metrics and reports."""
        return self.name or self.url.partition("?")[0]

    @property
    def everywhere(self) -> tuple["Resource", ...]:
        """It, and the same at its other nodes, each named by where that is."""
        there = (
            {"url": url, "name": f"{self.label} at {url.partition('?')[0].partition('://')[2]}", "nodes": ()}
            for url in self.nodes
        )
        return self, *(self.model_copy(update=changes) for changes in there)

    @model_validator(mode="after")
    def _can_be_called(self) -> "Resource":
        urls = (self.url, *self.nodes)
        if len(set(urls)) < len(urls):
            raise ValueError("nodes must be other URLs than its own, each once")
        if self.mtls and any(not url.startswith("https:") for url in urls):
            raise ValueError("mtls needs an https URL: no certificate is shown without TLS")
        return self


class Tls(_Table):
    """Trust beyond the system's."""

    ca: Reference | None = None


class Limits(_Table):
    """Hard limits. rate: requests/s; tokens: asked of the issuer in a run."""

    rate: Annotated[float, Field(gt=0)] = 500
    tokens: Annotated[int, Field(gt=0)] = 1000


class Break(_Table):
    """What may be broken, by fault name or pattern, and where the fault agent is told so."""

    faults: tuple[str, ...] = ()
    proxy: Url | None = None
    key: Reference | None = None  # what the agent asks for before it obeys

    def allows(self, fault: str) -> bool:
        """Whether that fault is among what may be broken."""
        return any(fnmatchcase(fault, pattern) for pattern in self.faults)


class Times(_Table):
    """How long, at most, what depends on the target goes by what it knew, in seconds: what outlasts a fault.

    cache_lifetime: a verifier by a key set; retry: between its tries to fetch one; token_lifetime: a client by a token;
    decisions: a gateway by what it decided of a token.
    """

    cache_lifetime: Annotated[float, Field(ge=0)] | None = None
    retry: Annotated[float, Field(ge=0)] | None = None
    token_lifetime: Annotated[float, Field(ge=0)] | None = None
    decisions: Annotated[float, Field(ge=0)] | None = None


class Watch(_Table):
    """What watches the target."""

    prometheus: Url | None = None
    alertmanager: Url | None = None
    time_scale: Annotated[float, Field(ge=1)] = 1  # by which the loaded rules' windows are divided
    file_sd: Path | None = None  # a folder of file_sd files, to have the harness's own metrics scraped
    grafana: Url | None = None  # that is told of faults and phases, as annotations
    grafana_token: Reference | None = None  # of a service account that may write them

    @model_validator(mode="after")
    def _token_has_its_grafana(self) -> "Watch":
        if self.grafana_token is not None and self.grafana is None:
            raise ValueError('grafana_token belongs to a Grafana: add for example grafana = "http://127.0.0.1:3000"')
        return self


class Target(_Table):
    """A system under test."""

    environment: Environment
    issuer: Issuer
    objectives: str | None = None
    client: tuple[Client, ...] = ()
    token: tuple[ReadyToken, ...] = ()
    signer: tuple[Signer, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    sts: Sts | None = None
    resource: tuple[Resource, ...] = ()
    tls: Tls = Tls()
    limits: Limits = Limits()
    break_: Break = Field(default=Break(), alias="break")
    times: Times = Times()
    watch: Watch = Watch()
    _path: Path = PrivateAttr(default=Path("target.toml"))

    @model_validator(mode="after")
    def _labels_differ(self) -> "Target":
        labels = [place.label for place in self.places]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two resources are called {label!r}: give each a name of its own")
        return self

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        return self._path

    @property
    def objectives_path(self) -> Path | None:
        """The user's own objectives file, or None for the package's."""
        return self._path.parent / self.objectives if self.objectives else None

    def read(self, reference: str) -> bytes:
        """What a reference of this file stands for. Raises BadInputError."""
        return read_reference(reference, self._path.parent)

    def read_text(self, reference: str) -> str:
        """The same as text without white space around it. Raises BadInputError for what is none, or empty."""
        try:
            text = self.read(reference).decode().strip()
        except UnicodeDecodeError:
            raise BadInputError(f"{reference}: is not UTF-8 text") from None
        if not text:
            raise BadInputError(f"{reference}: is empty")
        return text

    def read_token(self, reference: str) -> str:
        """A token by reference. Raises BadInputError for what can be none."""
        token = self.read_text(reference)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise BadInputError(f"{reference}: is no token: it must be one line of printable ASCII")
        return token

    def require_files(self, client: Client) -> None:
        """Of many clients, that the files of each are there. Raises BadInputError that names the first missing one."""
        for number in range(1, client.count + 1):
            described = client.numbered(number)
            for reference in (described.key, described.secret, described.certificate, described.certificate_key):
                if reference is not None and reference.startswith("file:"):
                    path = self._path.parent / Path(reference.removeprefix("file:")).expanduser()
                    if not path.is_file():
                        raise BadInputError(
                            f"{self._path}: client {described.id}: {reference}: cannot be read: no file"
                        )

    def signing_key(self, what: str, reference: str, alg: Algorithm, kid: str | None) -> SigningKey:
        """The key that a reference of this file stands for. Raises BadInputError that says what it is the key of."""
        try:
            return SigningKey.from_pem(self.read(reference), alg, kid)
        except BadInputError as error:
            said = str(error) if reference in str(error) else f"{reference}: {error}"
            raise BadInputError(f"{self._path}: {what}: {said}") from None

    @cached_property
    def first_clients(self) -> tuple[Client, ...]:
        """A client of each table: of many the first."""
        return tuple(client.numbered(1) for client in self.client)

    @property
    def first_client(self) -> Client | None:
        """The first that belongs to [issuer], None where there is none."""
        return next((client for client in self.first_clients if client.issuer is None), None)

    def require_client(self) -> Client:
        """The first client. Raises BadInputError when there is none."""
        found = self.first_client
        if found is None:
            raise BadInputError(f"{self._path}: no [[client]] of [issuer]'s: this needs one to get tokens with")
        return found

    def resources_for(self, client: Client | None) -> tuple[Resource, ...]:
        """The resources at all nodes that a client can call, or the bearer of a ready token."""
        certified = client is not None and client.certificate is not None
        return tuple(place for place in self.places if certified or not place.mtls)

    @property
    def places(self) -> tuple[Resource, ...]:
        """The resources at all their nodes."""
        return tuple(place for resource in self.resource for place in resource.everywhere)

    def require_resources(self) -> tuple[Resource, ...]:
        """The resources. Raises BadInputError when there is none."""
        if not self.resource:
            raise BadInputError(f"{self._path}: no [[resource]]: this needs one to send tokens to")
        return self.resource

    def refuse_production(self, what: str) -> None:
        """Raise BadInputError when the target is in production."""
        if self.environment is Environment.PRODUCTION:
            raise BadInputError(f"{self._path}: environment is production: {what} never runs there")
