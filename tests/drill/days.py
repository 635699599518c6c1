"""Game days as they are seen in life, made up: drills that held, were violated or say nothing, at several resources."""

from collections.abc import Callable, Mapping, Sequence

from jwtdrill.catalog.objectives import Severity, objectives
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.drill.deadlines import Deadline, Demands
from jwtdrill.drill.expectations import Expectations, ExpectedAlert
from jwtdrill.drill.judge import judge
from jwtdrill.drill.record import ActionSeen, AlertSpan, FaultSeen, Interval, Phase, Record, SecondSeen
from jwtdrill.drill.result import DrillResult, GameDay

START = 1_795_615_781  # whole seconds of Unix time
CONTROL, FAULT, RECOVERY = 20, 25, 20
BEGIN, END = START + CONTROL, START + CONTROL + FAULT
BURN = "JwtVerificationBudgetBurn"
Away = Mapping[str, Callable[[int], float]]  # resource: share of its good tokens turned away, by second from the fault


def between(first: float, last: float, share: float = 1.0) -> Callable[[int], float]:
    """That share in those seconds, counted from the fault's beginning; none in others."""
    return lambda at: share if first <= at < last else 0.0


def never(at: int) -> float:
    return 0.0


def second(at: int, away: Away, let_in: int = 0, errored: bool = False) -> SecondSeen:
    counts: dict[Tally, int] = {
        Tally("client_credentials", "valid", "token endpoint", Expected.ACCEPTED, Verdict.ACCEPTED): 1
    }
    for number, (place, share) in enumerate(away.items()):
        lost = round(100 * share(at - BEGIN))
        bad = Verdict.ERRORED if errored else Verdict.REJECTED
        counts[Tally("call", "valid", place, Expected.ACCEPTED, Verdict.ACCEPTED)] = 100 - lost
        counts[Tally("call", "valid", place, Expected.ACCEPTED, bad)] = lost
        counts[Tally("call", "expired", place, Expected.REJECTED, Verdict.REJECTED)] = 2
        counts[Tally("call", "alg_none", place, Expected.REJECTED, Verdict.ACCEPTED)] = let_in if number == 0 else 0
    wave = 0.002 + 0.0003 * (at % 5)
    return SecondSeen(at, {tally: n for tally, n in counts.items() if n}, wave, 4 * wave)


def span(name: str, after: float, lasts: float, severity: str = "page", suppressed: bool = False) -> AlertSpan:
    """An alert seen that many seconds after the fault began."""
    first = BEGIN + after
    return AlertSpan(name, severity, {"tier": "14.4x"} if "Burn" in name else {}, first, first + lasts, suppressed)


def record(away: Away, alerts: Sequence[AlertSpan] | None, fault: str = "jwks.status", **params: object) -> Record:
    until = END + RECOVERY
    lost = [max(share(at - BEGIN) for share in away.values()) for at in range(START, until)]
    burn = [(float(START + n), 400 * sum(lost[max(0, n - 5) : n + 1]) / 6) for n in range(len(lost))]
    return Record(
        phases={
            Phase.CONTROL: Interval(START, BEGIN),
            Phase.FAULT: Interval(BEGIN, END),
            Phase.RECOVERY: Interval(END, until),
        },
        faults=[FaultSeen(fault, params, BEGIN + 0.2, END + 0.1)],
        alerts=None if alerts is None else list(alerts),
        seconds=[second(at, away) for at in range(START, until)],
        burn={} if alerts is None else {"5s": burn, "1m": [(at, value / 3) for at, value in burn]},
        actions=[
            ActionSeen(START - 1.4, "load: 20 clients, 200 requests/s, cases valid=98,expired=2; canary beside it"),
            ActionSeen(until + 0.3, "load stopped"),
        ],
    )


Wanted = tuple[Expectations, Demands]


def expected(mode: str, *alerts: tuple[str, str, float], recovery: float = 10, **more: object) -> Wanted:
    """What a drill declares and what follows; alerts by name, severity, and seconds after which they are late."""
    declared = Expectations(
        failure_mode=mode,
        depth=1,
        alerts=tuple(ExpectedAlert(name=name, severity=Severity(severity)) for name, severity, _ in alerts),
        **more,  # type: ignore[arg-type]
    )
    deadlines = tuple(Deadline(name, Severity(s), late - 5 if late < 15 else late / 1.5) for name, s, late in alerts)
    return declared, Demands(deadlines, recovery_within=recovery, gone_within=60)


def drill(name: str, title: str, description: str, seen: Record, wanted: Wanted) -> DrillResult:
    declared, demands = wanted
    return DrillResult(name, title, description, declared, demands, seen, judge(seen, declared, demands, objectives()))


def held() -> DrillResult:
    seen = record(
        {"verifier-a": never, "verifier-b": between(1, 26)},
        [
            span("JwtClockOffset", 4, 30, "ticket"),
            span(BURN, 6.3, 32),
            span("JwtCanaryBudgetBurn", 8, 20, suppressed=True),
        ],
        "clock.skew",
        clock="verifier-b",
        seconds=-30,
    )
    wanted = expected("F9", ("JwtClockOffset", "ticket", 20), (BURN, "page", 20), may=("JwtCanaryBudgetBurn",))
    text = (
        "The real clock of one verifier is moved half a minute back. Young tokens come from its future and are refused."
    )
    return drill("clock_skew", "Clock skew at one verifier", text, seen, wanted)


def missed_and_late() -> DrillResult:
    """One alert never came, one came late, one that nobody announced woke people, and verifiers differ widely."""
    seen = record(
        {"verifier-a": between(3, 30), "verifier-b": between(14, 43), "edge gateway": between(16, 28, 0.4)},
        [
            span(BURN, 17.5, 27),
            span("JwtTokenMisuseSpike", 9, 12),
            span("JwtClockOffset", 8, 10, "ticket"),
            span("JwtCanaryBudgetBurn", 19, 16, suppressed=True),
        ],
        "keys.rotate_without_overlap",
    )
    wanted = expected("F8", ("JwtRotationBroken", "page", 15), (BURN, "page", 12), recovery=8)
    text = "The issuer signs with a new key and drops the old one while tokens that it signed are still in use."
    return drill("rotation_without_overlap", "Rotation without overlap", text, seen, wanted)


def let_in() -> DrillResult:
    """Bad tokens were let in while keys could not be had."""
    seen = record(
        {"verifier-a": never, "verifier-b": never}, [span("JwtJwksFetchFailing", 5, 30, "ticket")], status=503
    )
    for at in range(40, 44):
        seen.seconds[at] = second(START + at, {"verifier-a": never, "verifier-b": never}, let_in=3)
    wanted = expected("F10", ("JwtJwksFetchFailing", "ticket", 10))
    return drill(
        "jwks_outage", "JWKS outage", "The key set endpoint answers 503, behind a cache that is fresh.", seen, wanted
    )


def invalid() -> DrillResult:
    seen = record({"verifier-a": never}, [], "jwks.hang")
    seen.problem = "load ended in mid-drill: the token endpoint asks for a client that the target file lacks"
    seen.seconds = seen.seconds[:24]
    del seen.phases[Phase.RECOVERY]
    wanted = expected("F10", (BURN, "page", 20))
    return drill(
        "jwks_hang",
        "Key set that never answers",
        "The key set endpoint takes connections and says nothing.",
        seen,
        wanted,
    )


def unwatched() -> DrillResult:
    seen = record({"verifier-a": between(2, 27), "verifier-b": between(2, 27)}, None, "jwks.garbage")
    wanted = expected("F10", ("JwtJwksFetchFailing", "ticket", 20), (BURN, "page", 20))
    return drill("jwks_garbage", "Garbage for a key set", "The key set endpoint serves what is no JSON.", seen, wanted)


ALL = (held, missed_and_late, let_in, invalid, unwatched)


def day(
    *results: DrillResult, environment: str = "lab", runbooks: str | None = None, time_scale: float = 60
) -> GameDay:
    return GameDay(
        started=START - 30,
        ended=END + 400,
        environment=environment,
        issuer="http://127.0.0.1:18471",
        results=results or tuple(make() for make in ALL),
        fresh_watch=True,
        time_scale=time_scale,
        objectives=objectives(),
        runbooks=runbooks,
    )
