"""The processes of the optional parts, their entries in the target file, and what is scraped of them."""

import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jwtdrill.lab.envoy import EnvoyOptions, command, envoy_config, require_envoy
from jwtdrill.lab.parts import Part
from jwtdrill.lab.settings import (
    AuthorizerSettings,
    ClientSettings,
    IntrospectionSettings,
    IssuerSettings,
    KeySource,
    Profile,
    VerifierSettings,
)
from jwtdrill.lab.site import Site
from jwtdrill.observe.stack import Scrape
from jwtdrill.processes.supervisor import Spec
from jwtdrill.tokens.keys import SigningKey

PARTNER = "partner-issuer"
PARTNER_CLIENT = "partner-idp-client"
INTROSPECTION_CLIENT = "orders-service"
_CACHES = "verifier-c"
_ORDERS, _ENVOY_ADMIN = "orders", "envoy-admin"
_REMEMBERED = 10_000  # decisions of the gateway


_BEFORE_A_SERVICE = (Part.ENVOY, Part.GATEWAY, Part.AUTHORIZER)
_GUARDS = {
    Part.ENVOY: "envoy",
    Part.GATEWAY: "gateway",
    Part.AUTHORIZER: "authorizer",
    Part.INTROSPECTION: "introspection",
    Part.CACHES: _CACHES,
}


def require_programs(parts: Iterable[Part]) -> None:
    """Raises MissingPartError for a program that is not installed."""
    if Part.ENVOY in parts:
        require_envoy()


def user_agent(name: str) -> str:
    """By which a verifier of the lab can be told from another when it asks the issuer."""
    return f"jwtdrill-verifier/{name}"


def places_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Names of what needs a port."""
    names = [_GUARDS[part] for part in parts if part in _GUARDS]
    if Part.ENVOY in parts:
        names.append(_ENVOY_ADMIN)
    if Part.BROKER in parts:
        names.append(PARTNER)
    if any(part in _BEFORE_A_SERVICE for part in parts):
        names.append(_ORDERS)
    return tuple(names)


@dataclass(frozen=True)
class Annex:
    """The chosen parts of one lab. jwks_uri, introspection_uri: of the issuer, by way of the fault agent."""

    chosen: tuple[Part, ...]
    site: Site
    profile: Profile
    jwks_uri: str
    introspection_uri: str

    def key_source(self, name: str, *, min_lifetime: float = 5.0, allowance: int = 4) -> KeySource:
        """How the verifier of that name comes by keys."""
        stale_limit, retry_most = self.profile.stale_limit, self.profile.retry_most
        return KeySource(self.jwks_uri, user_agent(name), min_lifetime, stale_limit, retry_most, allowance)

    @property
    def foreign_issuer(self) -> str:
        """The URL of the foreign issuer that runs; empty where none does."""
        return self.site.url(PARTNER) if Part.BROKER in self.chosen else ""

    def secrets(self) -> dict[str, bytes]:
        """Contents of credentials that they need, by file name."""
        names = {Part.BROKER: ("partner-secret", "partner-admin-token"), Part.INTROSPECTION: ("introspection-secret",)}
        return {name: secrets.token_urlsafe(24).encode() for part in self.chosen for name in names.get(part, ())}

    def clients(self, contents: dict[str, bytes]) -> list[ClientSettings]:
        """What the issuer must know beside its own clients. contents: the lab's credentials."""
        if Part.INTROSPECTION not in self.chosen:
            return []
        return [ClientSettings(INTROSPECTION_CLIENT, {}, "", (), contents["introspection-secret"].decode())]

    def brokered(self, issuer: IssuerSettings) -> IssuerSettings:
        """The issuer's settings, with the foreign issuer that runs beside it where there is one."""
        url = self.foreign_issuer
        if not url:
            return issuer
        keys = replace(self.key_source("issuer"), jwks_uri=f"{url}/jwks")
        return replace(issuer, foreign_issuer=url, foreign_jwks={}, foreign_keys=keys)

    def issuers(self, issuer: IssuerSettings, foreign: SigningKey) -> list[Spec]:
        """The foreign issuer, where it runs: its tokens are for that issuer to exchange."""
        if not self.foreign_issuer:
            return []
        secret = Path(self.site.key_file("partner-secret")).read_text()
        settings = IssuerSettings(
            url=self.foreign_issuer,
            port=self.site.ports[PARTNER],
            audience=issuer.url,
            token_lifetime=issuer.token_lifetime,
            max_age=issuer.max_age,
            leeway=issuer.leeway,
            key_file=self.site.key_file("foreign.pem"),
            key_alg=foreign.alg,
            admin_token_file=self.site.key_file("partner-admin-token"),
            token_padding=0,
            clients=(ClientSettings(PARTNER_CLIENT, {}, "", ("exchange",), secret),),
        )
        return [self.site.service(PARTNER, "issuer", settings, "/jwks")]

    def guards(self, base: VerifierSettings) -> list[Spec]:
        """What guards resources. base: settings of a verifier, from which theirs differ."""
        specs = []
        if any(part in _BEFORE_A_SERVICE for part in self.chosen):
            specs.append(self.site.service(_ORDERS, "orders"))
        for part in self.chosen:
            if part is Part.ENVOY:
                specs.append(self._envoy(base))
            elif part in _GUARDS:
                specs.append(self._guard(part, base))
        return specs

    def resources(self, entry: Callable[[str, str], dict[str, object]]) -> list[dict[str, object]]:
        """Entries of the target file. entry: what is the same in all, for a name and a base URL."""
        return [self._resource(part, entry) for part in self.chosen if part in _GUARDS]

    def issuer_clients(self) -> list[dict[str, object]]:
        """Clients of other issuers for the target file."""
        if not self.foreign_issuer:
            return []
        return [
            {
                "id": PARTNER_CLIENT,
                "auth": "client_secret_basic",
                "secret": "file:keys/partner-secret",
                "issuer": self.foreign_issuer,
                "flows": ["client_credentials"],
            }
        ]

    def scrapes(self) -> list[Scrape]:
        """What Prometheus reads of them."""
        own = [
            Scrape(name, f"127.0.0.1:{self.site.ports[name]}")
            for name in places_of(self.chosen)
            if name not in (_GUARDS[Part.ENVOY], _ENVOY_ADMIN, _ORDERS)
        ]
        if Part.ENVOY in self.chosen:
            own.append(Scrape("envoy", f"127.0.0.1:{self.site.ports[_ENVOY_ADMIN]}", "/stats/prometheus"))
        return own

    def _guard(self, part: Part, base: VerifierSettings) -> Spec:
        name = _GUARDS[part]
        service, profile = self.site.service, self.profile
        guard = replace(
            base, name=name, port=self.site.ports[name], keys=self.key_source(name), role="", one_time_route=""
        )
        if part in _BEFORE_A_SERVICE:
            guard = replace(guard, upstream=self.site.url(_ORDERS))
        match part:
            case Part.GATEWAY:
                guard = replace(guard, decisions=_REMEMBERED, decision_lifetime=profile.decision_ttl)
                return service(name, "verifier", guard)
            case Part.AUTHORIZER:
                return service(name, "authorizer", AuthorizerSettings(guard, profile.decision_ttl, profile.idle))
            case Part.INTROSPECTION:
                secret = self.site.key_file("introspection-secret")
                asking = IntrospectionSettings(
                    guard, self.introspection_uri, INTROSPECTION_CLIENT, secret, user_agent(name)
                )
                return service(name, "introspecting", asking)
            case _:
                return service(name, "verifier", replace(guard, keys=self.key_source(name, allowance=0)))

    def _envoy(self, base: VerifierSettings) -> Spec:
        site, profile, name = self.site, self.profile, _GUARDS[Part.ENVOY]
        options = EnvoyOptions(
            port=site.ports[name],
            admin_port=site.ports[_ENVOY_ADMIN],
            issuer=base.issuer,
            jwks_uri=self.jwks_uri,
            audience=base.audience,
            upstream=site.url(_ORDERS),
            user_agent=user_agent(name),
            cache_seconds=profile.max_age,
            leeway=profile.leeway,
        )
        path = site.folder / "envoy.json"
        path.write_text(json.dumps(envoy_config(options), indent=1))
        return Spec(name, command(require_envoy(), path), ready=f"{site.url(_ENVOY_ADMIN)}/ready")

    def _resource(self, part: Part, entry: Callable[[str, str], dict[str, object]]) -> dict[str, object]:
        name = _GUARDS[part]
        own = entry(name, self.site.url(name))
        if part is Part.ENVOY:
            del own["scope"]
            return own
        own |= {"dpop": True, "metrics": f"{self.site.url(name)}/metrics"}
        if part is Part.AUTHORIZER:  # for so long it lets in a token that has expired since
            own["leeway"] = self.profile.leeway + self.profile.decision_ttl
        return own
