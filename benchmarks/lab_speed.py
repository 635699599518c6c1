"""Does the lab limit a load test? One verifier and one issuer process, with wrk beside them."""

from pathlib import Path

from benchmarks.figures import Figure, paired
from benchmarks.places import QuietLab, wrk
from jwtdrill.flows.token import ClientIdentity, JwtBearer
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import load_target
from jwtdrill.tokens.keys import Algorithm

_MOST_PER_SECOND = 12_000  # assertions minted ahead: each is good once


def verifier(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """RS256-verified requests against the same process's open page."""
    with QuietLab(folder / "verifier") as lab:
        target = load_target(str(lab.target))
        url, token = target.resource[0].url, genuine_token(target)
        return [
            paired(
                "verifier: RS256 verified",
                "requests/s",
                lambda: wrk(url, seconds, None, f"Authorization: Bearer {token}"),
                "its open page",
                lambda: wrk(f"{url.removesuffix('/orders')}/healthz", seconds),
                pairs,
                least=4000,
            )
        ]


def issuer(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """ES256 assertions exchanged, each fresh, against the same process's metadata page."""
    with QuietLab(folder / "issuer", Algorithm.ES256) as lab:
        target = load_target(str(lab.target))
        endpoints = discover(target)
        flow = JwtBearer(ClientIdentity(target.client[0], target, endpoints))
        scripts = iter(
            [_assertions(folder / f"assertions-{n}", flow, int(seconds * _MOST_PER_SECOND)) for n in range(pairs)]
        )
        return [
            paired(
                "issuer: ES256 assertions exchanged",
                "requests/s",
                lambda: wrk(endpoints.token, seconds, next(scripts)),
                "its metadata",
                lambda: wrk(f"{endpoints.issuer}/.well-known/openid-configuration", seconds),
                pairs,
                least=1500,
            )
        ]


def _assertions(path: Path, flow: JwtBearer, count: int) -> Path:
    """A wrk script that sends each of so many token requests once."""
    with path.with_suffix(".txt").open("w") as bodies:
        for _ in range(count):
            body = flow.request().body
            assert body is not None
            bodies.write(body.decode() + "\n")
    script = path.with_suffix(".lua")
    script.write_text(
        f'local bodies = io.lines("{path.with_suffix(".txt")}")\n'
        'local headers = {["Content-Type"] = "application/x-www-form-urlencoded"}\n'
        'request = function() return wrk.format("POST", nil, headers, bodies()) end\n'
    )
    return script
