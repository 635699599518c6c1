"""Settings of a verifier of the lab, and tokens that it takes."""

import time
from typing import Any

from jwtdrill.lab.settings import KeySource, VerifierSettings
from jwtdrill.tokens.keys import SigningKey
from jwtdrill.tokens.minter import Claims, Minter

ISSUER, AUDIENCE, SCOPE, ROUTE = "http://127.0.0.1:9", "https://api", "read", "/orders"


def guard(jwks_uri: str, **more: Any) -> VerifierSettings:
    return VerifierSettings(
        name="guard",
        port=0,
        issuer=ISSUER,
        keys=KeySource(jwks_uri, "jwtdrill-verifier/guard", 5, 15, 1),
        audience=AUDIENCE,
        scope=SCOPE,
        route=ROUTE,
        clients=("c",),
        algorithms=("ES256", "RS256"),
        leeway=2,
        offset_window=10,
        decisions=0,
        **more,
    )


def token_of(key: SigningKey, lifetime: float = 60, **more: Any) -> str:
    claims = {"iss": ISSUER, "sub": "s", "aud": AUDIENCE, "scope": SCOPE, "client_id": "c"} | more
    return Minter(key).mint(Claims.lasting(lifetime, now=time.time(), **claims))
