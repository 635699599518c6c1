"""Writes a first target file from what an issuer says of itself, with comments on what is left to fill in."""

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from jwtdrill.target.model import Environment

_LONGEST = 100  # characters of what stands in a comment
_AUTHS = {
    "private_key_jwt": "private_key_jwt",
    "client_secret_basic": "client_secret_basic",
    "client_secret_post": "client_secret_post",
    "tls_client_auth": "tls",
    "self_signed_tls_client_auth": "tls",
    "none": "none",
}
_ALGS = ("ES256", "RS256", "EdDSA", "PS256", "ES384", "RS384", "ES512", "RS512", "PS384", "PS512")


def draft(metadata: Mapping[str, Any], environment: Environment) -> str:
    """The file's text. Credentials are references to be filled in, never values."""
    document = tomlkit.document()
    document.add(tomlkit.comment("A target of jwtdrill. `jwtdrill check FILE` says what is still missing."))
    document.add("environment", tomlkit.item(environment.value).comment("lab, dev, test, staging or production"))
    document.add(tomlkit.nl())
    issuer = tomlkit.table()
    issuer.add("url", str(metadata["issuer"]))
    for name in ("token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"):
        if isinstance(metadata.get(name), str) and metadata[name].isprintable():
            issuer.add(tomlkit.comment(f"{name} = {metadata[name]!r}, as its metadata says"))
    document.add("issuer", issuer)
    document.add("client", _client(metadata))
    document.add("resource", _resource())
    limits = tomlkit.table()
    limits.add("rate", tomlkit.item(50).comment("requests/s: hard"))
    limits.add("tokens", tomlkit.item(1000).comment("asked of the issuer in a run: issuers throttle and bill"))
    document.add("limits", limits)
    document.add(tomlkit.comment("[[signer]]: a key of the issuer's that we may hold, makes all cases possible:"))
    document.add(tomlkit.comment('key = "file:signer.pem", kid = "…", alg = "RS256"'))
    document.add(tomlkit.comment('[tls] ca = "file:ca.pem" for a private CA; [watch] prometheus, alertmanager = URLs'))
    document.add(tomlkit.comment('[break] faults = ["jwks.*"] lists what a game day may break; nothing by default'))
    return tomlkit.dumps(document)


def _client(metadata: Mapping[str, Any]) -> AoT:
    offered = _strings(metadata, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    auth = next((auth for name, auth in _AUTHS.items() if name in offered), "client_secret_basic")
    client = tomlkit.table()
    client.add("id", tomlkit.item("CLIENT_ID").comment("the client's id at this issuer"))
    client.add("auth", tomlkit.item(auth).comment(f"the issuer's metadata says: {', '.join(offered)}"))
    if auth == "private_key_jwt":
        algs = _strings(metadata, "token_endpoint_auth_signing_alg_values_supported")
        alg = next((name for name in _ALGS if name in algs), _ALGS[0])
        client.add("key", tomlkit.item("file:client.pem").comment("a reference: env:NAME, file:PATH, command:ARGV"))
        client.add("alg", alg)
    elif auth == "tls":
        client.add("certificate", tomlkit.item("file:client.pem").comment("with its key: a reference, never the value"))
    elif auth != "none":
        client.add("secret", tomlkit.item("env:CLIENT_SECRET").comment("a reference, never the value"))
    scopes = [name for name in _strings(metadata, "scopes_supported") if name not in ("openid", "offline_access")]
    if scopes:
        client.add("scope", tomlkit.item(scopes[0]).comment(f"the issuer knows {', '.join(scopes[:8])}"))
    client.add(tomlkit.comment('params = { resource = "https://api.example" } for what this issuer wants beside'))
    return _several(client)


def _resource() -> AoT:
    resource = tomlkit.table()
    resource.add("url", tomlkit.item("https://api.example/orders").comment("a resource that wants such tokens"))
    resource.add("audience", "https://api.example")
    return _several(resource)


def _several(table: Table) -> AoT:
    several = tomlkit.aot()
    several.append(table)
    return several


def _strings(metadata: Mapping[str, Any], name: str) -> list[str]:
    value = metadata.get(name)
    entries = [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
    return [entry for entry in entries if entry and entry.isprintable() and len(entry) <= _LONGEST]
