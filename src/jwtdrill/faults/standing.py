"""The fault proxy that a team puts before its own issuer: what it listens on, which endpoints it knows, and its agent.

The agent is a process of its own, started again when it is killed: until then connections are refused, afterwards all
passes through, and what was in force is undone.
"""

import ipaddress
import os
import secrets
import socket
import ssl
import stat
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from pydantic import TypeAdapter

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.journal import default_journal
from jwtdrill.faults.settings import AgentSettings, EdgeSettings, ListenerSettings, RouteSettings, upstream_trust
from jwtdrill.processes.folders import OwnFolder
from jwtdrill.processes.supervisor import Spec, Supervisor
from jwtdrill.target.discovery import metadata, metadata_urls
from jwtdrill.tokens.certificates import read_certified

_CHECK_SECONDS = 0.25
REST = "all"  # the route of whatever no other has
ENDPOINTS = {"jwks": "jwks_uri", "token": "token_endpoint", "introspection": "introspection_endpoint"}
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

    @property
    def local(self) -> bool:
        """Whether it is reached from this machine alone."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def require_free(self, what: str) -> None:
        """Raises BadInputError when somebody listens there, or nobody can."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise BadInputError(f"{what} {self}: {error.strerror}: give another address or port") from None


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
        document = metadata(options.upstream, upstream_trust(options.ca)).members()
    except JwtdrillError as error:
        say(f"{error}; until it answers we answer with 502. Its endpoints are not known: only what --route names can")
        say("be broken apart from the rest. To have its metadata looked up again, start the proxy again")
        document = {}
    for name, key in ENDPOINTS.items():
        url = document.get(key)
        if isinstance(url, str) and urlsplit(url).path.strip("/") and name not in found:
            other = _origin(url) if _origin(url) != origin else ""
            found[name] = RouteSettings(name, (urlsplit(url).path,), other)
    paths = tuple(urlsplit(url).path for url in metadata_urls(options.upstream))
    found.setdefault("discovery", RouteSettings("discovery", paths))
    found.setdefault(REST, RouteSettings(REST))
    return tuple(found.values())


def stand(options: ProxyOptions, say: Say) -> None:
    """Stand until interrupted. Raises BadInputError for a port in use or a file that cannot be used."""
    _check(options)
    routes = routes_of(options, say)
    _make_token(options.token_file)
    folder = OwnFolder("jwtdrill-proxy-")
    try:
        path = folder.path / "agent.json"
        path.touch(mode=0o600)
        path.write_bytes(TypeAdapter(AgentSettings).dump_json(_settings(options, routes, folder.path)))
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


def _settings(options: ProxyOptions, routes: tuple[RouteSettings, ...], folder: Path) -> AgentSettings:
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
        notes_file=str(folder / "faults.json"),
        target_file=str(options.target_file.absolute()) if options.target_file is not None else "",
        journal_file=str(default_journal()),
        listeners=(listener,),
    )


def _check(options: ProxyOptions) -> None:
    """That ports are free and files are what they should be, before anything is touched. Raises BadInputError."""
    if options.listen == options.control:
        raise BadInputError(f"--control {options.control}: is where verifiers come, by --listen: give another port")
    options.listen.require_free("--listen")
    options.control.require_free("--control")
    if options.token_file.exists():
        _check_token(options.token_file)
    if options.ca is not None:
        try:
            upstream_trust(options.ca)
        except OSError as error:  # ssl.SSLError is one, too
            raise BadInputError(f"--ca {options.ca}: {_why(error, 'holds no certificate in PEM')}") from None
    if options.authority is not None and options.certificate is None:
        raise BadInputError("--authority: without --cert there is no certificate that it could have issued")
    if options.certificate is not None:
        try:
            EdgeSettings(str(options.certificate)).edge()
        except (OSError, ValueError) as error:
            why = _why(error, "holds no certificate in PEM with its own key, unencrypted")
            raise BadInputError(f"--cert {options.certificate}: {why}") from None
        if options.authority is not None:
            _check_authority(options.authority, options.certificate)


def _check_authority(authority: Path, certificate: Path) -> None:
    try:
        issuing = read_certified(authority.read_bytes())
    except (OSError, ValueError, TypeError) as error:  # TypeError: a key with a passphrase
        why = _why(error, "holds no certificate in PEM with its own key, RSA or EC, unencrypted")
        raise BadInputError(f"--authority {authority}: {why}") from None
    try:
        x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(issuing.certificate)
    except (ValueError, TypeError, InvalidSignature):
        raise BadInputError(f"--authority {authority}: did not issue the certificate in {certificate}") from None


def _check_token(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        empty = not path.read_text().strip()
    except (OSError, ValueError) as error:
        raise BadInputError(f"--control-token {path}: {_why(error, 'is no text')}") from None
    if mode & stat.S_IRWXO:
        raise BadInputError(f"--control-token {path}: others may read it: chmod 600 {path}")
    if empty:
        raise BadInputError(f"--control-token {path}: is empty: remove it, and one is made")


def _make_token(path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, secrets.token_urlsafe(24).encode())
        finally:
            os.close(handle)


def _why(error: Exception, otherwise: str) -> str:
    """Why a file cannot be used: it cannot be read, or is not what it should be."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"cannot be read: {error.strerror}"
    return otherwise


def _introduce(options: ProxyOptions, routes: tuple[RouteSettings, ...], say: Say) -> None:
    say(f"standing at {options.url} before {options.upstream}")
    for route in routes:
        say(f"  {route.name}: {', '.join(route.paths) or 'everything else'}")
    if not options.control.local:
        say(f"drills show their token to {options.control} in plain http: let nobody listen in on the way there")
    say("point a verifier at it, and add to the target file:")
    say("[break]")
    say('faults = ["jwks.*"]')
    say(f'proxy = "http://{options.control}"')
    say(f'key = "file:{options.token_file.absolute()}"')


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
