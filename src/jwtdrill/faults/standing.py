"""The fault proxy that a team puts before its own issuer: what it listens on, which endpoints it knows, and its agent.

The agent is a process of its own, started again when it is killed: until then connections are refused, afterwards all
passes through, and what was in force is undone.
"""

import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.journal import default_journal
from jwtdrill.faults.settings import AgentSettings, EdgeSettings, ListenerSettings, RouteSettings
from jwtdrill.processes.folders import OwnFolder
from jwtdrill.processes.supervisor import Spec, Supervisor
from jwtdrill.target.discovery import metadata, metadata_urls

_CHECK_SECONDS = 0.25
_ALL = "all"  # the route of whatever no other has
_ENDPOINTS = {"jwks": "jwks_uri", "token": "token_endpoint", "introspection": "introspection_endpoint"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, what: str) -> "Address":
        """`127.0.0.1:8443`, `[::1]:8443`. Raises BadInputError."""
        try:
            parts = urlsplit(f"//{text}")
            if parts.hostname is None or not parts.port or parts.path or parts.username is not None:
                raise ValueError
        except ValueError:
            raise BadInputError(f"{what} {text!r}: give an address and a port, such as 127.0.0.1:8443") from None
        return cls(parts.hostname, parts.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def require_free(self, what: str) -> None:
        """Raises BadInputError when somebody listens there, or nobody can."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise BadInputError(
                    f"{what} {self}: {error.strerror}: end what listens there, or give another"
                ) from None


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """How to stand before an issuer.

    upstream: the issuer's URL; certificate: file of certificate and key, for https; authority: of the authority that
    issued it, with its key, so that a wrong certificate is wrong in one way alone; public: the URL by which verifiers
    know us; ca: that vouches for the upstream; routes: more paths, by route name; target_file: of the system that bad
    traffic may be sent to.
    """

    upstream: str
    listen: Address
    control: Address
    token_file: Path
    certificate: Path | None = None
    authority: Path | None = None
    public: str = ""
    ca: Path | None = None
    routes: Mapping[str, str] = field(default_factory=dict)
    target_file: Path | None = None

    @property
    def url(self) -> str:
        """By which verifiers know us."""
        return self.public.rstrip("/") or f"{'https' if self.certificate else 'http'}://{self.listen}"


def routes_of(options: ProxyOptions, say: Say) -> tuple[RouteSettings, ...]:
    """The endpoints that the issuer's metadata names, those that were given, and one for all the rest."""
    origin = _origin(options.upstream)
    found = {name: RouteSettings(name, (path,)) for name, path in options.routes.items()}
    try:
        trust = ssl.create_default_context(cafile=str(options.ca) if options.ca else None)
        document = metadata(options.upstream, trust).members()
    except JwtdrillError as error:
        say(f"{error}; only what --route names is a route of its own")
        document = {}
    for name, key in _ENDPOINTS.items():
        url = document.get(key)
        if isinstance(url, str) and name not in found:
            other = _origin(url) if _origin(url) != origin else ""
            found[name] = RouteSettings(name, (urlsplit(url).path,), other)
    paths = tuple(urlsplit(url).path for url in metadata_urls(options.upstream))
    found.setdefault("discovery", RouteSettings("discovery", paths))
    found.setdefault(_ALL, RouteSettings(_ALL))
    return tuple(found.values())


def stand(options: ProxyOptions, say: Say) -> None:
    """Stand until interrupted. Raises BadInputError for a port in use or a file that cannot be read."""
    options.listen.require_free("--listen")
    options.control.require_free("--control")
    routes = routes_of(options, say)
    folder = OwnFolder("jwtdrill-proxy-")
    try:
        settings = _settings(options, routes)
        _check(settings)
        path = folder.path / "agent.json"
        path.touch(mode=0o600)
        path.write_bytes(TypeAdapter(AgentSettings).dump_json(settings))
        ready = f"http://{options.control}/metrics"
        spec = Spec("fault-agent", [sys.executable, "-m", "jwtdrill.faults.agent", path], ready=ready, restart=True)
        with Supervisor(folder.path) as supervisor:
            supervisor.start(spec)
            _introduce(options, routes, say)
            while not supervisor.dead():
                if supervisor.revive():
                    say("the fault agent was gone and has been started again: everything passes through")
                time.sleep(_CHECK_SECONDS)
            raise JwtdrillError(f"the fault agent ends again and again: {supervisor.log('fault-agent')}")
    finally:
        folder.remove()


def _settings(options: ProxyOptions, routes: tuple[RouteSettings, ...]) -> AgentSettings:
    if not options.token_file.exists():
        options.token_file.parent.mkdir(parents=True, exist_ok=True)
        options.token_file.touch(mode=0o600)
        options.token_file.write_text(secrets.token_urlsafe(24))
    edge = None
    if options.certificate is not None:
        authority = str(options.authority.absolute()) if options.authority is not None else ""
        name = urlsplit(options.url).hostname or "127.0.0.1"
        edge = EdgeSettings(str(options.certificate.absolute()), name, authority_file=authority)
    listener = ListenerSettings(
        options.listen.port,
        _origin(options.upstream),
        routes,
        options.listen.host,
        public=options.url,
        ca_file=str(options.ca.absolute()) if options.ca is not None else "",
        edge=edge,
    )
    return AgentSettings(
        control_port=options.control.port,
        control_host=options.control.host,
        control_token_file=str(options.token_file.absolute()),
        target=f"{options.upstream} by {options.url}",
        notes_file=str(options.token_file.absolute().with_suffix(".faults.json")),
        journal_file=str(default_journal()),
        listeners=(listener,),
        target_file=str(options.target_file.absolute()) if options.target_file is not None else "",
    )


def _check(settings: AgentSettings) -> None:
    """That certificate, authority and CA can be read, before a process stumbles over them."""
    [listener] = settings.listeners
    try:
        if listener.edge is not None:
            listener.edge.edge()
        if listener.ca_file:
            ssl.create_default_context(cafile=listener.ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = [f for f in (listener.edge and listener.edge.certificate_file, listener.ca_file) if f]
        raise BadInputError(
            f"{' or '.join(files)}: no certificate with its key can be read there: {error.args[-1]}"
        ) from None


def _introduce(options: ProxyOptions, routes: tuple[RouteSettings, ...], say: Say) -> None:
    say(f"standing at {options.url} before {options.upstream}")
    for route in routes:
        say(f"  {route.name}: {', '.join(route.paths) or 'everything else'}")
    say("point a verifier at it, and add to the target file:")
    say("[break]")
    say('faults = ["jwks.*"]')
    say(f'proxy = "http://{options.control}"')
    say(f'key = "file:{options.token_file.absolute()}"')


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
