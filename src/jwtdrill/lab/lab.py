"""Raises the lab's processes in a folder, writes its target file, and takes all of it away again."""

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from jwtdrill.catalog.objectives import objectives
from jwtdrill.errors import MissingPartError
from jwtdrill.faults.journal import default_journal
from jwtdrill.faults.settings import AgentSettings, EdgeSettings, ListenerSettings, ProcessSettings, RouteSettings
from jwtdrill.lab.annex import Annex, places_of
from jwtdrill.lab.grants import OFFLINE
from jwtdrill.lab.parts import Part
from jwtdrill.lab.settings import (
    ClientSettings,
    IssuerSettings,
    Profile,
    VerifierSettings,
    write_settings,
)
from jwtdrill.lab.site import PYTHON, Site
from jwtdrill.lab.verifier import STS_ROUTE
from jwtdrill.observe.stack import Scrape, Stack
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.clocks import movable_clock
from jwtdrill.processes.programs import find_libfaketime, find_program
from jwtdrill.processes.supervisor import Spec, Supervisor, free_port
from jwtdrill.target.model import NUMBER
from jwtdrill.tokens.certificates import issued, self_signed
from jwtdrill.tokens.digests import certificate_thumbprint
from jwtdrill.tokens.keys import RSA_BITS, Algorithm, SigningKey, jwks

AUDIENCE = "https://orders.example"
SCOPE = "orders:read"
ROUTE = "/orders"
ONE_TIME = {"verifier-a": "/payments"}  # where a token is good once only
CLIENT_ID = "orders-client"
PARTNER_CLIENT_ID = "partner-client"
FOREIGN_ISSUER = "https://partner-idp.example"
ROLE = "arn:aws:iam::123456789012:role/lab"
ENVIRONMENT = "lab"
DEVICE_CLIENT_ID = f"device-{NUMBER}"
_DEVICES = 2
_EDGES = {"issuer-mtls": "issuer", "verifier-a-mtls": "verifier-a"}  # where clients show certificates, and for whom
# Endpoints of the issuer that lie behind the fault proxy, each behind a listener of its own: it can be refused alone.
_PROXIED = {"jwks": "/jwks", "token": "/token", "introspection": "/introspect"}
# Lower bounds on the cache lifetime, in which the verifiers differ.
_MIN_LIFETIMES = {"verifier-a": 5.0, "verifier-b": 10.0}
_PINNED = "verifier-b"  # takes the issuer's own algorithm alone; the other one takes any (RFC 8725 section 3.1)


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How to raise a lab. `watch`: with Prometheus and Alertmanager; `alg`: of access tokens.

    client_alg: of assertions; clients: so many, each with a key of its own; rsa_bits: of the issuer's key, if it is an
    RSA key; token_padding: characters by which tokens are longer than need be; decisions: accepted tokens that each
    verifier remembers; parts: what it has beside issuer, verifiers and fault agent.
    """

    profile: Profile
    time_scale: float = 1.0
    watch: bool = True
    alg: Algorithm = Algorithm.RS256
    client_alg: Algorithm = Algorithm.ES256
    rsa_bits: int = RSA_BITS
    token_padding: int = 0
    decisions: int = 0
    clients: int = 1
    parts: tuple[Part, ...] = ()


class Lab:
    """A lab in `folder`, which it owns. Use it in a `with` statement."""

    def __init__(self, folder: Path, options: LabOptions, say: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.options = options
        self._say = say
        self._supervisor = Supervisor(folder)
        names = ("issuer", *_MIN_LIFETIMES, "control", *map(_door, _PROXIED), *_EDGES, *places_of(options.parts))
        self._ports = {name: free_port() for name in names}
        self._site = Site(folder, self._ports)
        proxied = {name: self._url(_door(name)) + path for name, path in _PROXIED.items()}
        self._annex = Annex(options.parts, self._site, options.profile, proxied["jwks"], proxied["introspection"])
        self._stack = Stack(folder / "watch", free_port(), free_port(), TimeScale(options.time_scale))

    @property
    def target(self) -> Path:
        """Its target file."""
        return self.folder / "target.toml"

    def up(self) -> None:
        """Start everything; the target file is written last. Raises MissingPartError, with nothing left running."""
        try:
            self._start()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Stop everything and remove the folder."""
        self._say("stopping")
        self._supervisor.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def renew_watch(self) -> None:
        """A fresh Prometheus and Alertmanager: nothing of the past in their windows."""
        if self.options.watch:
            self._stack.stop(self._supervisor)
            self._stack.start(self._supervisor)

    def dead(self) -> list[str]:
        """Names of processes that ended by themselves and are not started again."""
        return self._supervisor.dead()

    def revive(self) -> list[str]:
        """Start verifiers and fault agent again where they ended; returns which. From the main thread."""
        return self._supervisor.revive()

    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return self._supervisor.restarts

    def _url(self, name: str) -> str:
        return f"{'https' if name in _EDGES else 'http'}://127.0.0.1:{self._ports[name]}"

    @property
    def _client_id(self) -> str:
        return CLIENT_ID if self.options.clients == 1 else f"{CLIENT_ID}-{NUMBER}"

    def _start(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir(parents=True)
        signer = SigningKey.generate(self.options.alg, rsa_bits=self.options.rsa_bits)
        names = [self._client_id.replace(NUMBER, str(number + 1)) for number in range(self.options.clients)]
        clients = [SigningKey.generate(self.options.client_alg, f"{name}-1") for name in names]
        foreign = SigningKey.generate(Algorithm.ES256)
        authority = self_signed("lab authority", authority=True)
        devices = {
            DEVICE_CLIENT_ID.replace(NUMBER, str(number + 1)): issued("device", authority) for number in range(_DEVICES)
        }
        secret = secrets.token_urlsafe(24)
        contents = {
            "signer.pem": signer.pem(),
            **{f"{name}.pem": client.pem() for name, client in zip(names, clients, strict=True)},
            **{f"{name}.pem": device.pem for name, device in devices.items()},
            "foreign.pem": foreign.pem(),
            "authority.pem": authority.certificate_pem,
            "authority-key.pem": authority.pem,
            "edge.pem": issued("127.0.0.1", authority).pem,
            "client-secret": secret.encode(),
            **{name: secrets.token_urlsafe(24).encode() for name in ("admin-token", "control-token", "edge-secret")},
            **self._annex.secrets(),
        }
        for name, content in contents.items():
            path = keys / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        known = [
            *(
                ClientSettings(name, client.public_jwk(), client.alg, (SCOPE, OFFLINE))
                for name, client in zip(names, clients, strict=True)
            ),
            ClientSettings(PARTNER_CLIENT_ID, {}, "", (SCOPE,), secret),
            *(
                ClientSettings(name, {}, "", (SCOPE,), certificate=certificate_thumbprint(device.der))
                for name, device in devices.items()
            ),
            *self._annex.clients(contents),
        ]
        self._say("starting issuer, verifiers and fault agent")
        self._supervisor.start(*self._issuers(known, foreign), self._agent())
        self._supervisor.start(
            *(self._verifier(name) for name in _MIN_LIFETIMES),
            *self._annex.guards(self._verifier_settings("verifier-a")),
        )
        if self.options.watch:
            self._say("starting Prometheus and Alertmanager")
            self._stack.write(objectives(), self._scrapes(), ENVIRONMENT)
            self._stack.start(self._supervisor)
        self._write_target(signer, foreign)

    def _issuers(self, clients: Sequence[ClientSettings], foreign: SigningKey) -> list[Spec]:
        profile = self.options.profile
        settings = IssuerSettings(
            url=self._url("issuer"),
            port=self._ports["issuer"],
            audience=AUDIENCE,
            token_lifetime=profile.token_lifetime,
            max_age=profile.max_age,
            leeway=profile.leeway,
            key_file=str(self.folder / "keys/signer.pem"),
            key_alg=self.options.alg,
            admin_token_file=str(self.folder / "keys/admin-token"),
            token_padding=self.options.token_padding,
            clients=tuple(clients),
            foreign_issuer=FOREIGN_ISSUER,
            foreign_jwks=jwks([foreign]),
            nonces=True,
            token_endpoint=self._proxied("token"),
            introspection_endpoint=self._proxied("introspection"),
            mtls_url=self._url("issuer-mtls"),
            edge_secret_file=self._edge_secret,
        )
        own = self._site.service("issuer", "issuer", self._annex.brokered(settings), "/jwks", self._clock("issuer"))
        return [*self._annex.issuers(settings, foreign), own]

    def _proxied(self, name: str) -> str:
        """The URL of an endpoint by way of the fault proxy; empty where clients go straight to it."""
        return self._url(_door(name)) + _PROXIED[name] if self.options.profile.proxied else ""

    def _verifier_settings(self, name: str) -> VerifierSettings:
        profile = self.options.profile
        return VerifierSettings(
            name=name,
            port=self._ports[name],
            issuer=self._url("issuer"),
            keys=self._annex.key_source(name, min_lifetime=_MIN_LIFETIMES[name]),
            audience=AUDIENCE,
            scope=SCOPE,
            route=ROUTE,
            clients=(CLIENT_ID, PARTNER_CLIENT_ID),  # that metrics name: of thousands of clients none
            algorithms=tuple(
                a.value for a in Algorithm if (a is self.options.alg if name == _PINNED else not a.symmetric)
            ),
            leeway=profile.leeway,
            offset_window=profile.offset_window,
            decisions=self.options.decisions,
            revocations=f"{self._url('issuer')}/revoked",
            one_time_route=ONE_TIME.get(name, ""),
            most_scope=(SCOPE, OFFLINE),
            trusted_proxies=("127.0.0.0/8",),  # so that a drill can say where its requests come from
            nonces=True,
            edge_secret_file=self._edge_secret,
            role=ROLE,
        )

    def _verifier(self, name: str) -> Spec:
        return self._site.service(name, "verifier", self._verifier_settings(name), env=self._clock(name))

    def _clock(self, name: str) -> dict[str, str]:
        return movable_clock(self._clocks[name]) if name in self._clocks else {}

    def _agent(self) -> Spec:
        keys = self.folder / "keys"
        edge = EdgeSettings(
            str(keys / "edge.pem"),
            clients_ca_file=str(keys / "authority.pem"),
            secret_file=self._edge_secret,
            authority_file=str(keys / "authority-key.pem"),
        )
        issuer = self._url("issuer")
        settings = AgentSettings(
            control_port=self._ports["control"],
            control_token_file=str(keys / "control-token"),
            target=f"{ENVIRONMENT} {issuer}",
            notes_file=str(self.folder / "faults.json"),
            journal_file=str(default_journal()),
            listeners=(
                *(
                    ListenerSettings(self._ports[_door(name)], issuer, (RouteSettings(name, (path,)),))
                    for name, path in _PROXIED.items()
                ),
                *(
                    ListenerSettings(self._ports[name], self._url(upstream), (RouteSettings(name),), edge=edge)
                    for name, upstream in _EDGES.items()
                ),
            ),
            clocks={name: str(path) for name, path in self._clocks.items()},
            issuer_url=issuer,
            issuer_token_file=str(self.folder / "keys/admin-token"),
            target_file=str(self.target),
            processes={
                name: ProcessSettings(str(self._supervisor.pid_file(name)), f"{self._url(name)}/healthz")
                for name in _MIN_LIFETIMES
            },
        )
        path = self.folder / "agent.json"
        write_settings(path, settings)
        return Spec(
            "fault-agent",
            [*PYTHON, "jwtdrill.faults.agent", str(path)],
            ready=f"{self._url('control')}/metrics",
            restart=True,
        )

    @property
    def _edge_secret(self) -> str:
        return str(self.folder / "keys/edge-secret")

    @property
    def _clocks(self) -> dict[str, Path]:
        names = self.options.profile.movable if find_libfaketime() is not None else ()
        return {name: self.folder / f"{name}.clock" for name in names}

    def _scrapes(self) -> list[Scrape]:
        ports = {"issuer": "issuer", **{name: name for name in _MIN_LIFETIMES}, "fault-agent": "control"}
        own = [Scrape(job, f"127.0.0.1:{self._ports[port]}") for job, port in ports.items()]
        return [*own, *self._annex.scrapes()]

    def _resource(self, name: str, url: str) -> dict[str, object]:
        leeway = self.options.profile.leeway
        return {"name": name, "url": url + ROUTE, "audience": AUDIENCE, "scope": SCOPE, "leeway": leeway}

    def _write_target(self, signer: SigningKey, foreign: SigningKey) -> None:
        own = {
            "id": self._client_id,
            "auth": "private_key_jwt",
            "key": f"file:keys/{self._client_id}.pem",
            "kid": f"{self._client_id}-1",
            "alg": self.options.client_alg.value,
            "scope": SCOPE,
        }
        many = {"count": self.options.clients} if self.options.clients > 1 else {}
        content: dict[str, object] = {
            "environment": ENVIRONMENT,
            "issuer": {"url": self._url("issuer"), "metrics": f"{self._url('issuer')}/metrics"},
            "client": [
                {**own, **many},
                {
                    "id": PARTNER_CLIENT_ID,
                    "auth": "client_secret_basic",
                    "secret": "file:keys/client-secret",
                    "scope": SCOPE,
                },
                {**own, **many, "dpop": True},
                {
                    "id": DEVICE_CLIENT_ID,
                    "auth": "tls",
                    "certificate": f"file:keys/{DEVICE_CLIENT_ID}.pem",
                    "scope": SCOPE,
                    "count": _DEVICES,
                },
                *self._annex.issuer_clients(),
            ],
            "tls": {"ca": "file:keys/authority.pem"},
            "foreign": [
                {
                    "issuer": self._annex.foreign_issuer or FOREIGN_ISSUER,
                    "key": "file:keys/foreign.pem",
                    "kid": foreign.kid,
                    "alg": foreign.alg.value,
                }
            ],
            "sts": {"url": self._url("verifier-a") + STS_ROUTE, "role": ROLE},
            "signer": [
                {"key": "file:keys/signer.pem", "alg": signer.alg.value}
            ],  # the issuer keeps the file up to date
            "resource": [
                *(
                    {**self._resource(name, self._url(name)), "dpop": True, "metrics": f"{self._url(name)}/metrics"}
                    for name in _MIN_LIFETIMES
                ),
                {**self._resource("verifier-a-mtls", self._url("verifier-a-mtls")), "mtls": True},
                *(
                    {
                        **self._resource(name, self._url(name)),
                        "name": f"{name}{route}",
                        "url": self._url(name) + route,
                        "one_time": True,
                    }
                    for name, route in ONE_TIME.items()
                ),
                *self._annex.resources(self._resource),
            ],
            "limits": {"rate": 10000, "tokens": 1000000},
            "break": {
                "faults": ["*"],
                "proxy": self._url("control"),
                "key": "file:keys/control-token",
            },
        }
        profile = self.options.profile
        content["times"] = {
            "cache_lifetime": max(profile.max_age, *_MIN_LIFETIMES.values()),
            "retry": profile.retry_most,
            "token_lifetime": profile.token_lifetime,
        }
        if self.options.watch:
            content["watch"] = {
                "prometheus": self._stack.prometheus,
                "alertmanager": self._stack.alertmanager,
                "time_scale": self.options.time_scale,
                "file_sd": str(self._stack.file_sd),
            }
        fresh = self.folder / ".target.new"
        fresh.write_text(f"# The lab's target file, written by `jwtdrill lab up`.\n{tomlkit.dumps(content)}")
        fresh.replace(self.target)


def _door(route: str) -> str:
    """The place of a proxied endpoint's listener: a part of the lab may have the name of a route."""
    return f"{route}-proxy"


def require_watch_programs() -> None:
    """Raises MissingPartError naming all that is missing to watch and to break clocks, in one line."""
    wanted = {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"}
    missing = [package for program, package in wanted.items() if find_program(program) is None]
    if find_libfaketime() is None:
        missing.append("libfaketime")
    if missing:
        raise MissingPartError(
            f"not installed: {', '.join(missing)}: run `apt-get install --no-install-recommends {' '.join(missing)}`"
        )
