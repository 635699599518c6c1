"""What a fault agent is told, as JSON in a file, and the site that is made of it."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from jwtdrill.faults.fault import Managed, Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.proxy import Listener
from jwtdrill.faults.route import Edge, Route
from jwtdrill.tokens.certificates import read_certified


@dataclass(frozen=True)
class EdgeSettings:
    """TLS that ends at a listener: files of its certificate with key, and what may be left empty.

    name: that the certificate is for. clients_ca_file, secret_file: of clients' certificates, and by which the upstream
    knows who tells of them. authority_file: of the authority that vouches for the certificate, where we hold it.
    """

    certificate_file: str
    name: str = "127.0.0.1"
    clients_ca_file: str = ""
    secret_file: str = ""
    authority_file: str = ""

    def edge(self) -> Edge:
        """With the files read. Raises OSError, ssl.SSLError, ValueError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.clients_ca_file or None)
        context.load_cert_chain(self.certificate_file, password="")  # with a passphrase it would ask at the terminal
        if self.clients_ca_file:
            context.verify_mode = ssl.CERT_OPTIONAL
        secret = Path(self.secret_file).read_text() if self.secret_file else ""
        authority = read_certified(Path(self.authority_file).read_bytes()) if self.authority_file else None
        return Edge(context, self.name, secret, authority)


def upstream_trust(ca_file: str | Path | None) -> ssl.SSLContext:
    """Trust in what the system trusts, and in that CA. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@dataclass(frozen=True)
class RouteSettings:
    """A route of the proxy: what lies at or below these paths, or without any all that no other route has.

    upstream: where that lies, if not with the rest.
    """

    name: str
    paths: tuple[str, ...] = ()
    upstream: str = ""


@dataclass(frozen=True)
class ListenerSettings:
    """A listening port before one upstream.

    public: the URL by which clients know it, where `jwks_uri` in metadata is to lead there. ca_file: that vouches for
    the upstream's certificate, beside the system's.
    """

    port: int
    upstream: str
    routes: tuple[RouteSettings, ...]
    host: str = "127.0.0.1"
    public: str = ""
    ca_file: str = ""
    edge: EdgeSettings | None = None

    def listener(self) -> Listener:
        """Closed as yet."""
        edge = self.edge.edge() if self.edge is not None else None
        trust = upstream_trust(self.ca_file)
        secret = edge.secret if edge is not None else ""
        routes = [Route(r.name, r.upstream or self.upstream, r.paths, self.public, secret, trust) for r in self.routes]
        return Listener(self.port, routes, edge, self.host)


@dataclass(frozen=True)
class ProcessSettings:
    """A process that may be starved or restarted. health: a URL that answers 200 while it is well, if there is one."""

    pid_file: str
    health: str = ""


@dataclass(frozen=True)
class AgentSettings:
    """All of an agent. Tokens are in files of their own.

    target: what the journal calls the system that is broken here. notes_file: where it notes what is in force, to undo
    it when it is started again after being killed; what it runs lies beside it. target_file: of the system that bad
    traffic is sent to; it need not be there before such a fault begins.
    """

    control_port: int
    control_token_file: str
    target: str
    notes_file: str
    journal_file: str
    control_host: str = "127.0.0.1"
    listeners: tuple[ListenerSettings, ...] = ()
    clocks: dict[str, str] = field(default_factory=dict)
    issuer_url: str | None = None
    issuer_token_file: str | None = None
    target_file: str = ""
    processes: dict[str, ProcessSettings] = field(default_factory=dict)


def site_of(settings: AgentSettings, listeners: tuple[Listener, ...]) -> Site:
    """What the agent can reach."""
    routes = {route.name: route for listener in listeners for route in listener.routes}
    clocks = {name: Path(path) for name, path in settings.clocks.items()}
    issuer = None
    if settings.issuer_url and settings.issuer_token_file:
        issuer = IssuerAdmin(settings.issuer_url, Path(settings.issuer_token_file).read_text().strip())
    return Site(
        routes,
        clocks,
        issuer,
        target=Path(settings.target_file) if settings.target_file else None,
        folder=Path(settings.notes_file).parent,
        processes={name: Managed(Path(one.pid_file), one.health) for name, one in settings.processes.items()},
    )
