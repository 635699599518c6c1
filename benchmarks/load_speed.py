"""How fast load is made: our locustfiles against plain ones that sign nothing, and against one written by hand."""

from pathlib import Path

from benchmarks.figures import Figure, paired
from benchmarks.places import HERE, Delayed, QuietLab, at_server, jwtdrill_locust, locust, rate
from jwtdrill.flows.token import ClientIdentity, JwtBearer
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.discovery import discover
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target
from jwtdrill.tokens.keys import Algorithm

_USERS = ("-u", "32", "-r", "100")
_FLAT_OUT = ("--throughput", "100000")
_MOST_PER_SECOND = 6000
_SERVER_DELAY, _SERVER_TAIL = 0.025, 0.003  # seconds: a server whose p99 is about 39 ms


def verification(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """Verification load against a plain FastHttpUser that sends one fixed token."""
    with QuietLab(folder / "verification") as lab:
        target = load_target(str(lab.target))
        env = {"URL": target.resource[0].url, "TOKEN": genuine_token(target)}
        run = ("-t", f"{seconds:.0f}s", *_USERS)
        return [
            paired(
                "verification load, one process",
                "requests/s",
                lambda: _ours("verification", "call", *run, "--target", str(lab.target)),
                "plain FastHttpUser",
                lambda: rate(locust(HERE / "plain.py", *run, env=env)),
                pairs,
                least_ratio=0.9,
            )
        ]


def issuance(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """Issuance with a fresh ES256 assertion each, against a plain FastHttpUser whose assertions were made before."""
    with QuietLab(folder / "issuance", Algorithm.ES256) as lab:
        target = load_target(str(lab.target))
        endpoints = discover(target)
        flow = JwtBearer(ClientIdentity(target.client[0], target, endpoints))
        run = ("-t", f"{seconds:.0f}s", *_USERS)

        def plain() -> float:
            bodies = folder / "bodies.txt"
            made = (flow.request().body or b"" for _ in range(int(seconds * _MOST_PER_SECOND)))
            bodies.write_text("\n".join(body.decode() for body in made))
            env = {"URL": endpoints.token, "BODIES": str(bodies)}
            return rate(locust(HERE / "plain.py", *run, env=env))

        return [
            paired(
                "issuance, a fresh ES256 assertion each",
                "requests/s",
                lambda: _ours("issuance", "jwt_bearer", *run, "--target", str(lab.target), "JwtBearerIssuance"),
                "plain, made before",
                plain,
                pairs,
                least_ratio=0.7,
            )
        ]


def handwritten(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """A fresh RS256 assertion each, against the locustfile that one writes by hand, on one process and on two.

    Against an endpoint that answers at once, so that what is measured is how load is made; and against the lab's
    issuer, which verifies and signs on the same two cores and leaves none free.
    """
    with QuietLab(folder / "handwritten", Algorithm.ES256, client_alg=Algorithm.RS256) as lab:
        target = load_target(str(lab.target))
        served = Delayed(0)
        at_once = at_server(lab.target, served.url, token_endpoint=f"{served.url}token", jwks_uri=_jwks(target))
        try:
            figures = [
                _against_handwritten("", at_once, target, f"{served.url}token", processes, goal, seconds, pairs)
                for processes, goal in ((1, 1.3), (2, 1.0))
            ]
        finally:
            served.seen()
        issuer = discover(target).token
        figures.append(
            _against_handwritten(", at the lab's issuer", lab.target, target, issuer, 1, None, seconds, pairs)
        )
        return [*figures, *_truth_at(figures[0].measured / 2, lab.target, target, seconds, pairs)]


def _against_handwritten(
    where: str,
    file: Path,
    target: Target,
    endpoint: str,
    processes: int,
    goal: float | None,
    seconds: float,
    pairs: int,
) -> Figure:
    run = ("-t", f"{seconds:.0f}s", *_USERS, *(("--processes", str(processes)) if processes > 1 else ()))
    return paired(
        f"issuance, a fresh RS256 assertion each, {processes} process{'es' if processes > 1 else ''}{where}",
        "requests/s",
        lambda: _ours("issuance", "jwt_bearer", *run, "--target", str(file), "JwtBearerIssuance"),
        "written by hand",
        lambda: rate(locust(HERE / "handwritten.py", *run, env=_told(target, endpoint))),
        pairs,
        least_ratio=goal,
    )


def _truth_at(half: float, file: Path, target: Target, seconds: float, pairs: int) -> list[Figure]:
    """At half that rate: the p99 that is reported against the one that the server saw."""
    users = 50
    run = ("-t", f"{seconds * 2:.0f}s", "-u", str(users), "-r", "100")
    pace = half / users
    figures = []
    for name in ("ours", "written by hand"):
        seen: list[float] = []

        def reported(name: str = name, seen: list[float] = seen) -> float:
            with_tail = Delayed(_SERVER_DELAY, tail=_SERVER_TAIL)
            endpoint = f"{with_tail.url}token"
            if name == "ours":
                served = at_server(file, with_tail.url, token_endpoint=endpoint, jwks_uri=_jwks(target))
                content = jwtdrill_locust(
                    "issuance", *run, "--throughput", f"{pace:.2f}", "--target", served, "JwtBearerIssuance"
                )
                p99 = next(e for e in content["latency"] if e["flow"] == "jwt_bearer")["milliseconds"]["p99"]
            else:
                entries = locust(HERE / "handwritten.py", *run, env=_told(target, endpoint) | {"PACE": f"{pace:.2f}"})
                p99 = _locust_p99(entries)
            values = with_tail.seen()
            seen.append(values[int(len(values) * 0.99)] * 1e3)
            return float(p99)

        figures.append(
            paired(
                f"reported p99 at half the first rate, {name}",
                "ms",
                reported,
                "what the server saw",
                lambda seen=seen: seen[-1],  # type: ignore[misc]
                pairs,
                most_ratio=1.05 if name == "ours" else None,
            )
        )
    return figures


def _locust_p99(entries: list[dict[str, object]]) -> float:
    """Of Locust's own statistics: milliseconds to how many, already rounded by it."""
    counts: dict[float, int] = {}
    for entry in entries:
        times = entry["response_times"]
        assert isinstance(times, dict)
        for milliseconds, count in times.items():
            counts[float(milliseconds)] = counts.get(float(milliseconds), 0) + count
    wanted, so_far = 0.99 * sum(counts.values()), 0
    for milliseconds in sorted(counts):
        so_far += counts[milliseconds]
        if so_far >= wanted:
            return milliseconds
    return 0.0


def _ours(name: str, entry: str, *options: str) -> float:
    return rate(locust(HERE.parent / "loadtests" / f"{name}.py", "--metrics-port", "0", *_FLAT_OUT, *options), entry)


def _jwks(target: Target) -> str:
    return discover(target).jwks


def _told(target: Target, endpoint: str) -> dict[str, str]:
    client = target.client[0]
    return {
        "ENDPOINT": endpoint,
        "AUDIENCE": target.issuer.url,
        "CLIENT": client.id,
        "KEY": str(target.path.parent / "keys/orders-client.pem"),
        "ALG": client.alg.value,
        "KID": client.kid or "",
    }
