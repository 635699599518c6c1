"""For each detection alert: what makes it fire, what just does not, and when it is over.

Time runs at real lengths, in steps of 15 seconds. All is well until BEGIN, and the watch goes on until END. Bursts fall
between two scrapes, so that counts are exact.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.observe.promtool import LABELS, STEP, Counter, canary, refused, verified

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
EARLIER, BEGIN, END = 1830.0, 5430.0, 3 * HOUR  # the first two between the points that a day's average is made of
Series = list[Counter]
_VERIFIER = 'job="a", instance="1"'
_HARNESS = 'environment="staging"'
_TIMESTAMP = "jwt_signing_key_activated_timestamp_seconds"


@dataclass(frozen=True)
class Scene:
    """series: under which it fires `at` seconds after BEGIN and is over `gone` seconds after that.

    just_not: others under which it never does, each by one condition that is just not met. labels: that it has.
    unrecorded: whether it is the rules that are broken, in which nothing is recorded. worst: whether it is the worst
    fault, under which the alert fires as soon as it can.
    """

    series: Series
    at: float
    gone: float
    just_not: dict[str, Series]
    labels: dict[str, str] = field(default_factory=dict)
    begin: float = BEGIN
    end: float = END
    unrecorded: bool = False
    slow: bool = False
    worst: bool = True


def burst(counter: Counter, size: float, *, earlier: float = 0, begin: float = BEGIN, end: float = END) -> Counter:
    """So many events at `begin`, and `earlier` ones long before."""
    counter.then(EARLIER - STEP, 0).jump(earlier).then(begin - EARLIER - STEP, 0).jump(size)
    return counter.then(end - begin, 0)


def steady(counter: Counter, per_step: float, end: float = END) -> Counter:
    """So many events at each scrape."""
    return counter.then(end, per_step / STEP)


def sings(failing: float = 0, since: float = BEGIN, resource: str = "orders") -> Series:
    """A canary of one call a second, of which from then on that share fails for half an hour."""
    good = canary("success", resource=resource).then(since - STEP, 1).then(HOUR / 2, 1 - failing).then(END, 1)
    bad = canary("failure", resource=resource).then(since - STEP, 0).then(HOUR / 2, failing).then(END, 0)
    return [good, bad]


def metric(name: str, *labels: str, values: list[float | str | None] | None = None, scope: str = LABELS) -> Counter:
    """A series of the contract; a counter begins at zero."""
    return Counter(f"{name}{{{', '.join((scope, *labels))}}}", [0] if values is None else values)


def gauge(
    name: str, *labels: str, values: tuple[float | None, ...], scope: str = LABELS, lasts: float = HOUR / 2
) -> Counter:
    """One value until BEGIN, one for as long as it lasts, and one after that."""
    one = metric(name, *labels, values=[], scope=scope)
    for seconds, value in zip((BEGIN, lasts, END), values, strict=True):
        one.values += [value] * round(seconds / STEP)
    return one


def _event(name: str, least: int, window: float, *labels: str, scope: str = LABELS, **given: str) -> Scene:
    """So many events within the window fire at once."""
    return Scene(
        [burst(metric(name, *labels, scope=scope), least)],
        at=0,
        gone=window + STEP,
        just_not={"one less": [burst(metric(name, *labels, scope=scope), least - 1)]},
        labels=given,
    )


def _rise(
    bad: Callable[[], Counter],
    good: Callable[[], Counter],
    beside: Callable[[], Series],
    *,
    least: int,
    share: float,
    window: float,
    hold: float,
    times: float | None = None,
) -> Scene:
    """Bad events of at least a number and a share of all in a window, and so many times a day's average."""
    points = window / STEP + 1  # of the window, with both ends
    others = (least / share - least) / points
    usual = 288 * least / times - least if times else 0  # of the day's points, beside the burst itself
    just_not = {
        "one less": [burst(bad(), least - 1), *beside()],
        "too small a share": [burst(bad(), least), steady(good(), 1.02 * others), *beside()],
    }
    if times:
        just_not["as usual"] = [burst(bad(), least, earlier=1.02 * usual), *beside()]
    return Scene(
        [burst(bad(), least, earlier=0.98 * usual), steady(good(), 0.98 * others), *beside()],
        at=hold,
        gone=window + STEP - hold,
        just_not=just_not,
    )


def _refused(
    reason: str, *, least: int, share: float, window: float, times: float | None = None, sung: bool = True
) -> Scene:
    beside = sings if sung else list
    return _rise(
        lambda: refused(reason), verified, beside,
        least=least, share=share, window=window, hold=300, times=times,
    )  # fmt: skip


def _misuse() -> Scene:
    """Half of it refused for what only clients do, half for what an outage could explain."""

    def bad(size: float, earlier: float = 0) -> Series:
        return [burst(refused(reason), size / 2, earlier=earlier / 2) for reason in ("malformed", "bad_signature")]

    least, usual = 300, 288 * 300 / 5 - 300
    explained = 20 * (3 * 150 + 15)  # in five minutes by a canary that fails, at ten requests a second and one beside
    return Scene(
        [*bad(least, 0.98 * usual), steady(verified(), 0.98 * 900 / 21), *sings()],
        at=120,
        gone=315 - 120,
        just_not={
            "two less": [*bad(least - 2), *sings()],
            "too small a share": [*bad(least), steady(verified(), 1.02 * 900 / 21), *sings()],
            "as usual": [*bad(least, 1.02 * usual), *sings()],
            "an outage explains it": [
                burst(refused("bad_signature"), explained + 298),
                steady(verified(), 150),
                *sings(1, since=BEGIN - 300),
            ],
            "a wrong setting": [burst(refused("wrong_audience"), 1000), *sings()],
            "a clock": [burst(refused("not_yet_valid"), 1000), burst(refused("issued_in_future"), 1000), *sings()],
        },
    )


def _unauthorized() -> Scene:

    def answers(code: int) -> Callable[[], Counter]:
        labels = ('route="/orders"', f'code="{code}"')
        return lambda: metric("jwt_protected_requests_total", *labels, scope=_HARNESS)

    scene = _rise(answers(401), answers(200), list, least=50, share=0.05, window=1800, hold=900, times=18)
    return replace(scene, labels={"path": "/orders"})


def _lifetimes() -> Scene:
    def tokens(long: int, short: float) -> Series:
        every = steady(metric("jwt_token_lifetime_seconds_count"), short)
        every.values = [
            v + long if isinstance(v, float | int) and step >= BEGIN / STEP else v
            for step, v in enumerate(every.values)
        ]
        return [every, steady(metric("jwt_token_lifetime_seconds_bucket", 'le="86400.0"'), short)]

    short = 990 / 241
    return Scene(
        tokens(10, 0.98 * short), at=0, gone=HOUR + STEP,
        just_not={"one less": tokens(9, 0.5 * short), "too small a share": tokens(10, 1.02 * short)},
    )  # fmt: skip


def _rotation(change: Counter, lasts: float) -> Scene:
    """Canary and users are refused for their keys, a moment after a key changed."""

    def both(share: float = 1) -> Series:
        return [*sings(share), *sings(share, resource="bills")]

    def key(size: float = 5) -> Counter:
        return burst(refused("unknown_kid"), size)

    return Scene(
        [key(), burst(refused("expired"), 4), change, *both()],
        at=STEP,
        gone=lasts - STEP,
        just_not={
            "one less": [key(4), _changed(60), *both()],
            "one service accepts": [key(), _changed(60), *sings(0.9), *sings(0, resource="bills")],
            "the canary fails now and then": [key(), _changed(60), *both(0.19)],
            "no key changed": [key(), _changed(3600), *both()],
            "most for other reasons": [key(), burst(refused("expired"), 6), _changed(60), *both()],
        },
    )


def _changed(ago: float, name: str = "jwt_signing_key_activated_timestamp_seconds") -> Counter:
    """A key that was changed so long before BEGIN."""
    return metric(name, 'kid="k"', 'state="active"', values=[]).set(END, BEGIN - ago)


def _aged(name: str, *labels: str, age: float, hold: float, scope: str = LABELS, **given: str) -> Scene:
    """A point in time that is `age` seconds past at BEGIN; it is renewed when the alert has fired for a while."""
    value = BEGIN - age
    last = hold + 600
    return Scene(
        [gauge(name, *labels, values=(value, value, value + 90 * DAY), lasts=last, scope=scope)],
        at=hold,
        gone=600,
        just_not={
            "renewed in time": [
                gauge(name, *labels, values=(value, value, value + 90 * DAY), lasts=hold - STEP, scope=scope)
            ],
            "younger": [gauge(name, *labels, values=(value + 1900,) * 3, scope=scope)],
        },
        labels=given,
        end=BEGIN + hold + HOUR,
    )


def _stale_keys() -> Scene:
    last = "jwt_jwks_last_success_timestamp_seconds"

    def works() -> Counter:
        return metric("jwt_verification_total", _VERIFIER, 'result="success"').every(END, 270)

    def lives(seconds: float) -> Counter:
        return metric("jwt_jwks_lifetime_seconds", _VERIFIER, values=[]).set(END, seconds)

    def old() -> Counter:
        return gauge(last, _VERIFIER, values=(BEGIN - 600, BEGIN - 600, END))

    def clock(offset: float) -> Counter:
        return metric("jwt_token_clock_offset_seconds", _VERIFIER, values=[]).set(END, offset)

    fresh = metric(last, _VERIFIER, values=[step * STEP - 585 for step in range(round(END / STEP))])
    return Scene(
        [old(), lives(300), works(), clock(-1.9)], at=300, gone=1500,
        just_not={
            "idle": [old(), lives(300)],
            "idle for long": [old(), lives(300), metric("jwt_verification_total", _VERIFIER).every(BEGIN, 543)],
            "a long lifetime": [old(), lives(1250), works()],
            "fetched in time": [fresh, lives(60), works()],
            "a clock that is behind": [old(), lives(300), works(), clock(-2.1)],
        },
    )  # fmt: skip


def _fetches() -> Scene:

    def fetch(result: str, size: float) -> Counter:
        return burst(metric("jwt_jwks_fetch_total", _VERIFIER, f'result="{result}"'), size)

    return Scene(
        [fetch("failure", 3), fetch("success", 0)], at=60, gone=240,
        just_not={
            "two failures": [fetch("failure", 2), fetch("success", 0)],
            "one success": [fetch("failure", 30), fetch("success", 1)],
        },
    )  # fmt: skip


def _storm() -> Scene:

    def fetch(size: float, job: str) -> Counter:
        return burst(metric("jwt_jwks_fetch_total", f'job="{job}"', 'result="success"'), size)

    return Scene([fetch(60, "a")], at=60, gone=240, just_not={"by two": [fetch(59, "a"), fetch(59, "b")]})


def _issued(*parts: tuple[float, float]) -> Counter:
    """Tokens, for so many seconds at such a rate each."""
    counter = metric("jwt_issuance_total", 'result="success"')
    for seconds, rate in parts:
        counter.then(seconds, rate)
    return counter


def _fewer_tokens(rate: float) -> Scene:
    """None are issued for an hour of the second day."""
    begin, few = DAY + BEGIN, 99 / 121 / STEP
    return Scene(
        [_issued((begin - STEP, rate), (HOUR, 0), (HOUR, rate))],
        at=84 * STEP + 600,
        gone=HOUR - 84 * STEP - 600 + 36 * STEP,
        just_not={
            "a third is left": [_issued((begin - STEP, rate), (HOUR, rate * 0.31))],
            "few yesterday": [_issued((begin - STEP, few), (HOUR, 0))],
        },
        begin=begin,
        end=begin + 2 * HOUR,
    )


def _weekend() -> Scene:
    """Fewer than yesterday, and fewer than a week ago or not."""
    begin = 8 * DAY

    def issued(last_week: float) -> Counter:
        return _issued((DAY - HOUR, 1), (3 * HOUR, last_week), (7 * DAY - 2 * HOUR, 1), (HOUR, 0.1), (HOUR, 1))

    return Scene(
        [issued(0.35)],
        at=121 * STEP + 600,
        gone=HOUR - 120 * STEP - 600,
        just_not={"as a week ago": [issued(0.3)]},
        begin=begin,
        end=begin + 2 * HOUR,
        slow=True,
        worst=False,
    )


def _offset() -> Scene:

    def at(least: float, lasts: float = HOUR / 2) -> Counter:
        return gauge("jwt_token_clock_offset_seconds", values=(0.4, least, 0.4), lasts=lasts)

    return Scene([at(-2.1)], at=120, gone=HOUR / 2 - 120, just_not={"rounding": [at(-1.9)], "a moment": [at(-30, 105)]})


def _goes(counter: Counter, lasts: float) -> Counter:
    return counter.then(BEGIN - STEP, 1).goes(lasts).then(END, 1)


def _comes(when: float) -> Counter:
    return metric("jwt_verification_total", 'result="success"', values=[]).absent(when).then(END, 1)


def _blind() -> Scene:
    other = LABELS.replace("https://i", "https://other")
    return Scene(
        [_goes(verified(), HOUR / 2)], at=180, gone=HOUR / 2 - 180 + STEP,
        just_not={
            "a moment": [_goes(verified(), 150)],
            "another issuer's come in": [_goes(verified(), HOUR / 2), steady(verified(other), 1)],
        },
    )  # fmt: skip


def _missing(name: str) -> Scene:
    return Scene(
        [_goes(metric(name), HOUR / 2)], at=300, gone=HOUR / 2 - 300 + STEP,
        just_not={"a moment": [_goes(metric(name), 270)]}, labels={"metric": name},
    )  # fmt: skip


def _down() -> Scene:

    def up(lasts: float = HOUR / 2) -> Counter:
        return gauge("up", 'job="a"', values=(1, 0, 1), scope=_HARNESS, lasts=lasts)

    def keys() -> Counter:
        return _goes(metric("jwt_jwks_keys", 'job="a"'), HOUR / 2)

    return Scene(
        [up(), keys()], at=300, gone=HOUR / 2 - 300,
        just_not={"a moment": [up(285), keys()], "not one of ours": [up()]}, labels={"job": "a"},
    )  # fmt: skip


def _unrecorded(name: str) -> Scene:

    def comes() -> Counter:
        return metric(name, values=[]).absent(BEGIN).then(HOUR / 2, 1).goes(HOUR)

    return Scene([comes()], at=120, gone=HOUR / 2 - 120, just_not={"recorded": [comes()]}, unrecorded=True)


def _failing(name: str) -> Scene:

    def fails(lasts: float) -> Counter:
        return (
            metric(name, scope='rule_group="/etc/rules.yml;jwtdrill"').then(BEGIN - STEP, 0).then(lasts, 1).then(END, 0)
        )

    return Scene([fails(600)], at=300, gone=600 - 300 + 300 - STEP, just_not={"once": [fails(STEP)]})


def _silent() -> Scene:

    def rests(lasts: float) -> Counter:
        return canary("success").then(BEGIN - STEP, 1).then(lasts, 0).then(END, 1)

    def asks(result: str) -> Counter:
        return canary(result, resource="token_endpoint").then(BEGIN + END, 1)

    return Scene(
        [rests(HOUR), asks("success")], at=600, gone=HOUR - 600,
        just_not={"for a while": [rests(555)], "it asks for tokens in vain": [rests(HOUR), asks("failure")]},
    )  # fmt: skip


def _fault() -> Scene:

    def lasts(seconds: float) -> Counter:
        return gauge("jwtdrill_fault_active", 'fault="jwks.refused"', scope=_HARNESS, values=(0, 1, 0), lasts=seconds)

    return Scene(
        [lasts(6000)], at=3900, gone=2100, just_not={"a long drill": [lasts(3900)]}, end=BEGIN + 10000,
        labels={"fault": "jwks.refused"},
    )  # fmt: skip


# By the alert's name; what is in brackets tells several scenes of one apart.
SCENES: dict[str, Scene] = {
    "JwtTokenMisuseSpike": _misuse(),
    "JwtAmbiguousFailures": _refused("unknown_kid", least=50, share=0.05, window=900, times=9, sung=False),
    "JwtSignatureFailures": _refused("bad_signature", least=50, share=0.05, window=900, times=9),
    "JwtSignatureFailures (algorithm)": _refused("algorithm_not_allowed", least=50, share=0.05, window=900, times=9),
    "JwtExpiredTokenStorm": _refused("expired", least=50, share=0.2, window=900, times=9),
    "JwtAudienceMismatch": _refused("wrong_audience", least=20, share=0.01, window=900, times=9),
    "JwtTokenReplay": _event("jwt_verification_total", 5, 300, 'result="failure"', 'reason="replayed"'),
    "JwtUnknownKidFlood": _refused("unknown_kid", least=100, share=0.05, window=300, times=5),
    "JwtAuthFailureRatio": _unauthorized(),
    "JwtExcessScope": _event("jwt_token_excess_scope_total", 1, HOUR),
    "JwtTokenLeakSuspicion": _event("jwt_token_leak_suspicion_total", 1, HOUR),
    "JwtTokenLifetimeLong": _lifetimes(),
    "JwtFalseAccept": _event(
        "jwtdrill_requests_total",
        1,
        300,
        'flow="call"',
        'case="expired"',
        'expected="rejected"',
        'verdict="accepted"',
        scope=_HARNESS,
        case="expired",
    ),
    "JwtRotationBroken": _rotation(_changed(60), 315),
    "JwtRotationBroken (an hour ago)": _rotation(_changed(3570), 45),
    "JwtRotationBroken (first seen)": _rotation(_changed(3570, "jwtdrill_kid_first_seen_timestamp_seconds"), 45),
    "JwtRotationBroken (removed)": _rotation(gauge("jwt_jwks_keys", _VERIFIER, values=(2, 1, 1), lasts=HOUR), 315),
    "JwtRotationFailed": _event("jwt_key_rotation_total", 1, HOUR, 'result="failure"'),
    "JwtSigningKeyOld": _aged(_TIMESTAMP, 'kid="k"', 'alg="RS256"', 'state="active"', age=90 * DAY, hold=HOUR),
    "JwtRevokedKeyAccepted": _event("jwt_revoked_key_accepted_total", 1, 300),
    "JwtJwksFetchFailing": _fetches(),
    "JwtKeySetStale": _stale_keys(),
    "JwtJwksFetchStorm": _storm(),
    "JwtClockOffset": _offset(),
    "JwtIssuanceDrop": _fewer_tokens(1),
    "JwtIssuanceDrop (little)": _fewer_tokens(102 / 121 / STEP),
    "JwtIssuanceDrop (weekend)": _weekend(),
    "JwtCertificateExpiring": _aged(
        "jwtdrill_certificate_expiry_timestamp_seconds",
        'host="idp.example"',
        age=-14 * DAY,
        hold=HOUR,
        scope=_HARNESS,
        host="idp.example",
    ),
    "JwtWatchingBlind": _blind(),
    "JwtNothingWatched": Scene(
        [metric("up", values=[]).set(HOUR, 1), _comes(BEGIN)],
        at=900,
        gone=BEGIN - 900 + STEP,
        just_not={"late": [_comes(600)]},
        begin=0,
    ),
    "JwtMetricsMissing": _missing("jwt_verification_total"),
    "JwtMetricsMissing (issuance)": _missing("jwt_issuance_total"),
    "JwtMetricsMissing (introspection)": _missing("jwt_introspection_total"),
    "JwtTargetDown": _down(),
    "JwtRulesNotEvaluated": _unrecorded("jwt_verification_total"),
    "JwtRulesNotEvaluated (canary)": _unrecorded("jwtdrill_canary_total"),
    "JwtRulesFailing": _failing("prometheus_rule_evaluation_failures_total"),
    "JwtRulesFailing (missed)": _failing("prometheus_rule_group_iterations_missed_total"),
    "JwtCanaryStopped": _silent(),
    "JwtFaultLeft": _fault(),
}
