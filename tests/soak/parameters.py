"""Random parameters for every kind of fault that there is, within what the lab can bear.

A fault without a line here is begun with its defaults.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from jwtdrill.faults.registry import FAULTS, HTTP_FAULTS

Params = dict[str, Any]
Draw = Callable[[random.Random], Params]

_CLOCKS = ("issuer", "verifier-b")
_VERIFIERS = ("verifier-a", "verifier-b")
_ROUTES = ("jwks", "jwks", "jwks", "token", "introspection")  # the key set is what most of them are made for
_TLS_ROUTES = ("verifier-a-mtls", "issuer-mtls")
_ALTERS_KEYS = ("empty_set", "extra_keys", "malformed_keys", "missing_newest_key", "missing_oldest_key", "wrong_key")


def _nothing(rng: random.Random) -> Params:
    return {}


def _offset(rng: random.Random) -> float:
    return rng.choice((-1, 1)) * round(rng.uniform(5, 7200), 1)


def _rate(rng: random.Random) -> Params:
    return {"rate": round(rng.uniform(5, 40), 1)}


HTTP: Mapping[str, Draw] = {
    "cache_headers": lambda rng: {"max_age": rng.choice((0, 60, 31_536_000))},
    "certificate": lambda rng: {"wrong": rng.choice(("expired", "other_name"))},
    "extra_keys": lambda rng: {"count": rng.randint(1, 60)},
    "garbage": lambda rng: {"size": rng.randint(1, 100_000)},
    "html": lambda rng: {"status": rng.choice((200, 403, 502, 503))},
    "huge_body": lambda rng: {"megabytes": rng.randint(1, 16)},
    "latency": lambda rng: {"seconds": round(rng.uniform(0.2, 10), 1), "spread": 0.2},
    "redirect": lambda rng: {"status": rng.choice((301, 302, 303, 307, 308))},
    "reset": lambda rng: {"after": round(rng.uniform(0.1, 0.9), 2)},
    "stale": lambda rng: {"says_age": rng.random() < 0.5},
    "status": lambda rng: {"status": rng.choice((401, 404, 429, 500, 503)), "retry_after": rng.choice((None, 1, 3600))},
    "truncated": lambda rng: {"after": round(rng.uniform(0.1, 0.9), 2)},
}
OTHERS: Mapping[str, Draw] = {
    "clock.back_step": lambda rng: {
        "clock": rng.choice(_CLOCKS),
        "seconds": abs(_offset(rng)),
        "after": round(rng.uniform(0, 2), 1),
    },
    "clock.drift": lambda rng: {"clock": rng.choice(_CLOCKS), "rate": rng.choice((-10, -3, 3, 10)), "most": 20},
    "clock.skew": lambda rng: {"clock": rng.choice(_CLOCKS), "seconds": _offset(rng)},
    "clock.skewed_claims": lambda rng: {"seconds": rng.choice((-3600, 3600)), **_rate(rng)},
    "clock.step": lambda rng: {
        "clock": rng.choice(_CLOCKS),
        "seconds": _offset(rng),
        "after": round(rng.uniform(0, 2), 1),
    },
    "cpu.starved": lambda rng: {
        "process": rng.choice(_VERIFIERS),
        "share": round(rng.uniform(0.01, 0.5), 2),
        "stop": rng.random() < 0.5,
    },
    "keys.algorithm_change": lambda rng: {"alg": rng.choice(("ES256", "PS256", "EdDSA"))},
    "keys.compromise": lambda rng: {"revoke_after": round(rng.uniform(0, 3), 1)},
    "keys.stuck_half_way": lambda rng: {"begun": rng.random() < 0.5},
    "load.thundering_herd": lambda rng: {"processes": rng.sample(_VERIFIERS, rng.randint(1, 2))},
    "misuse.expired": lambda rng: {"after": round(rng.uniform(0, 1), 1), **_rate(rng)},
    "misuse.forged": lambda rng: {"stolen_key": rng.random() < 0.3, **_rate(rng)},
    "misuse.over_scoped": _rate,
    "misuse.refresh_reuse": _rate,
    "misuse.replay": _rate,
    "misuse.spray": lambda rng: {"addresses": rng.randint(2, 50), **_rate(rng)},
    "misuse.unknown_kid": lambda rng: {"kids": rng.choice((None, 5)), **_rate(rng)},
    "misuse.wrong_audience": _rate,
}


def kinds() -> list[str]:
    """Every kind of fault, with those of the proxy as on the route `http`."""
    return [*(f"http.{kind}" for kind in HTTP_FAULTS), *FAULTS]


def draw(rng: random.Random, kind: str) -> tuple[str, Params]:
    """A fault of that kind: its name, on some route where it is one of the proxy's, and parameters."""
    if kind in FAULTS:
        return kind, OTHERS.get(kind, _nothing)(rng)
    kind = kind.removeprefix("http.")
    params = HTTP.get(kind, _nothing)(rng)
    if kind == "certificate":
        return f"{rng.choice(_TLS_ROUTES)}.{kind}", params
    if rng.random() < 0.2:
        params |= rng.choice(({"share": 0.5}, {"flapping": 0.8}, {"agents": ["*verifier-a*"]}))
    route = "jwks" if kind in _ALTERS_KEYS or kind == "stale" else rng.choice(_ROUTES)
    return f"{route}.{kind}", params
