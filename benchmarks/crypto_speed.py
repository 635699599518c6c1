"""Minting against OpenSSL's own speed on one core, and our verifier against raw PyJWT."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jwt
from jwt.algorithms import get_default_algorithms

from benchmarks.figures import Figure, paired
from jwtdrill.tokens.keys import Algorithm, SigningKey, jwks
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import JwksCache, Verifier, VerifierPolicy
from jwtdrill.verify.fetch import Fetched
from jwtdrill.verify.keyset import parse_keyset

_OPENSSL = {Algorithm.RS256: "rsa2048", Algorithm.ES256: "ecdsap256", Algorithm.EDDSA: "ed25519"}
_ISSUER, _AUDIENCE, _SCOPE = "https://idp.example", "https://api.example", "orders:read"


def minting(_: Path, seconds: float, pairs: int) -> list[Figure]:
    """Whole tokens minted per second against OpenSSL's own bare signatures, and what the library makes of those."""
    figures = []
    for alg, name in _OPENSSL.items():
        minter = Minter(SigningKey.generate(alg))
        bare = get_default_algorithms()[alg]
        for what, act, goal in (
            (f"minting {alg}", lambda minter=minter: _mint(minter), 0.95 if alg is Algorithm.RS256 else None),
            (f"bare signatures {alg}", lambda bare=bare, key=minter.key.private: bare.sign(bytes(400), key), None),
        ):
            figures.append(
                paired(
                    what,
                    "tokens/s",
                    lambda act=act: _per_second(act, seconds / 2),  # type: ignore[misc]
                    f"openssl speed {name}",
                    lambda name=name: _openssl(name, seconds / 2),  # type: ignore[misc]
                    pairs,
                    least_ratio=goal,
                )
            )
    return figures


def verifying(_: Path, seconds: float, pairs: int) -> list[Figure]:
    """Tokens verified per second: all that our verifier checks and counts, against jwt.decode alone."""
    key = SigningKey.generate(Algorithm.RS256)
    document = json.dumps(jwks([key])).encode()
    token = _mint(Minter(key))
    public = key.private.public_key()  # type: ignore[union-attr]
    policy = VerifierPolicy(_ISSUER, _AUDIENCE, scope=_SCOPE)
    with JwksCache("http://unused.invalid", _ISSUER, fetch=lambda: Fetched(parse_keyset(document), 3600.0)) as cache:
        plain, remembering = Verifier(policy, cache), Verifier(policy, cache, decisions=1000)

        def raw() -> float:
            return _per_second(
                lambda: jwt.decode(token, public, ["RS256"], audience=_AUDIENCE, issuer=_ISSUER), seconds / 2
            )

        plain.verify(token)  # fetches the keys
        return [
            paired(
                f"verifier, RS256{name}",
                "tokens/s",
                lambda verifier=verifier: _per_second(lambda: verifier.verify(token), seconds / 2),  # type: ignore[misc]
                "jwt.decode",
                raw,
                pairs,
                least_ratio=goal,
            )
            for name, verifier, goal in (("", plain, 0.9), (", with decision cache", remembering, 10.0))
        ]


def _mint(minter: Minter) -> str:
    claims = Claims.lasting(300, now=time.time(), iss=_ISSUER, sub="orders", aud=_AUDIENCE, scope=_SCOPE)
    return minter.mint(claims)


def _per_second(act: Callable[[], object], seconds: float) -> float:
    count, begin = 0, time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        for _ in range(50):
            act()
        count += 50
    return count / (now - begin)


def _openssl(name: str, seconds: float) -> float:
    out = subprocess.run(
        ["openssl", "speed", "-seconds", str(max(1, round(seconds))), name], capture_output=True, text=True, check=True
    ).stdout
    return float(re.findall(r"([\d.]+)", out.strip().splitlines()[-1])[-2])
