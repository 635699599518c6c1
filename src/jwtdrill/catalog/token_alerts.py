"""Detection alerts on tokens: forged, expired, replayed, leaked, too powerful, or meant for somebody else."""

from datetime import timedelta

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import DetectionAlert, Needs, Route
from jwtdrill.catalog.metrics import bucket
from jwtdrill.catalog.objectives import Severity
from jwtdrill.catalog.promql import (
    CALLS,
    MISUSE_OF_LATE,
    REFUSED_OF_LATE,
    UNAUTHORIZED_OF_LATE,
    among,
    ask,
    events,
    refused,
    rise,
    total,
    usual,
    verified,
    worst,
)
from jwtdrill.catalog.reasons import Blame, Reason, reasons_blamed_on

_NONE, _MINUTE, _HOUR = timedelta(0), timedelta(minutes=1), timedelta(hours=1)
_SPIKE = Needs(300, 5 * _MINUTE, share=0.25)
_FLOOD = Needs(100, 5 * _MINUTE, share=0.05)
_RISE = Needs(50, 15 * _MINUTE, share=0.05)
_STORM = Needs(50, 15 * _MINUTE, share=0.2)
_MISMATCHES = Needs(20, 15 * _MINUTE, share=0.01)
_UNWELCOME = Needs(50, 30 * _MINUTE, share=0.05)
_LONG_LIVED = Needs(10, _HOUR, share=0.01)
_REPLAYS = Needs(5, 5 * _MINUTE)
_ONE, _ONE_OF_LATE = Needs(1, _HOUR), Needs(1, 5 * _MINUTE)
LONG_LIFETIME = timedelta(days=1)  # of a bearer token, beyond which a leak lasts too long
_AMBIGUOUS = reasons_blamed_on(Blame.AMBIGUOUS)
_FORGED = (Reason.BAD_SIGNATURE, Reason.ALGORITHM_NOT_ALLOWED)
_HARNESS = ("environment", "flow", "case")
_ROUTE = ("environment", "route")
_UNAUTHORIZED = events(metrics.PROTECTED_REQUESTS, "30m", 'code=~"401|403"', _ROUTE)
_LIFETIMES = total(metrics.TOKEN_LIFETIME.part_events("_count"), "1h")
_SHORT = total(metrics.TOKEN_LIFETIME.part_events("_bucket"), "1h", bucket(LONG_LIFETIME.total_seconds()))
_LONG = f"{_LIFETIMES} - ({_SHORT} or {_LIFETIMES} * 0)"
_LET_IN = events(metrics.REQUESTS, "5m", 'expected="rejected", verdict="accepted"', _HARNESS)
_SYMPTOM = ("JwtAuthFailureRatio",)  # of all that says more exactly which tokens are refused
_ATTACK, _CHECK = "jwtdrill attack TARGET", "jwtdrill check TARGET"
_WHO = ask('topk(9, sum by (job, audience, reason) (increase(jwt_verification_total{result="failure"}[5m])))')

TOKEN_ALERTS: tuple[DetectionAlert, ...] = (
    DetectionAlert(
        name="JwtTokenMisuseSpike",
        expr=(
            f"{MISUSE_OF_LATE} >= {_SPIKE.events}\n"
            f"and {MISUSE_OF_LATE} >= {_SPIKE.share} * {verified('5m')}\n"
            f"and {MISUSE_OF_LATE} >= 5 * {usual(MISUSE_OF_LATE)}"
        ),
        needs=_SPIKE,
        hold=2 * _MINUTE,
        severity=Severity.PAGE,
        route=Route.SECURITY,
        detects=("F1", "F2", "F4", "F14"),
        hurt="somebody sends bad tokens in bulk, {{ $value | humanize }} in five minutes",
        first=_WHO,
        description=(
            "A quarter of all tokens or more is forged, expired, replayed or malformed, one a second and five times "
            "what is usual, and no outage explains it: the canary is accepted, or fails less than that. Without a "
            "canary forged and expired tokens count for JwtAmbiguousFailures alone."
        ),
        silences=("JwtSignatureFailures", "JwtExpiredTokenStorm", "JwtUnknownKidFlood", "JwtAuthFailureRatio"),
        culprit=worst(metrics.VERIFICATION, "audience, reason", 'result="failure"', "5m"),
    ),
    DetectionAlert(
        name="JwtAmbiguousFailures",
        expr=(
            f"{rise(_RISE, *_AMBIGUOUS)}\n"
            f"and {refused('15m', *_AMBIGUOUS)} >= 9 * {usual(REFUSED_OF_LATE, among(_AMBIGUOUS))}\n"
            f"unless {events(metrics.CANARY, '15m', CALLS)} > 0"
        ),
        needs=_RISE,
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F1", "F2", "F5", "F8", "F9"),
        hurt="{{ $value | humanize }} tokens refused in a quarter of an hour, good or bad: no canary tells",
        first="jwtdrill canary TARGET",
        description=(
            "Refusals that can be an attack, a client or an outage are one in twenty and three times what is usual. "
            "Without a canary they burn no error budget: find out whether users are hurt, and let a canary sing."
        ),
        culprit=worst(metrics.VERIFICATION, "audience, reason", 'result="failure"'),
    ),
    DetectionAlert(
        name="JwtSignatureFailures",
        expr=(
            f"{rise(_RISE, *_FORGED)}\nand {refused('15m', *_FORGED)} >= 9 * {usual(REFUSED_OF_LATE, among(_FORGED))}"
        ),
        needs=_RISE,
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F1",),
        hurt="{{ $value | humanize }} tokens in a quarter of an hour had a wrong signature or algorithm",
        first=_WHO,
        description=(
            "Forged tokens, a client that signs with a wrong key, or verifiers that have the wrong one: one in twenty "
            "and three times what is usual."
        ),
        silences=_SYMPTOM,
        culprit=worst(metrics.VERIFICATION, "audience, alg", among(_FORGED)),
    ),
    DetectionAlert(
        name="JwtExpiredTokenStorm",
        expr=(
            f"{rise(_STORM, Reason.EXPIRED)}\n"
            f"and {refused('15m', Reason.EXPIRED)} >= 9 * {usual(REFUSED_OF_LATE, among([Reason.EXPIRED]))}"
        ),
        needs=_STORM,
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.SERVICE,
        detects=("F2", "F9"),
        hurt="clients come with expired tokens, {{ $value | humanize }} in a quarter of an hour",
        first=_CHECK,
        description=(
            "A fifth of all tokens is expired, three times what is usual: clients that keep tokens for too long or "
            "cannot get new ones, or a clock that is ahead."
        ),
        silences=_SYMPTOM,
        culprit=worst(metrics.VERIFICATION, "audience", among([Reason.EXPIRED])),
    ),
    DetectionAlert(
        name="JwtAudienceMismatch",
        expr=(
            f"{rise(_MISMATCHES, Reason.WRONG_AUDIENCE)}\n"
            f"and {refused('15m', Reason.WRONG_AUDIENCE)} >= "
            f"9 * {usual(REFUSED_OF_LATE, among([Reason.WRONG_AUDIENCE]))}"
        ),
        needs=_MISMATCHES,
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.SERVICE,
        detects=("F3",),
        hurt="{{ $value | humanize }} tokens in a quarter of an hour were meant for another audience",
        first=ask('sum by (job, audience) (increase(jwt_verification_total{reason="wrong_audience"}[15m]))'),
        description="Three times what is usual: a client asks for the wrong audience, or sends a token elsewhere.",
        silences=_SYMPTOM,
        culprit=worst(metrics.VERIFICATION, "audience", among([Reason.WRONG_AUDIENCE])),
    ),
    DetectionAlert(
        name="JwtTokenReplay",
        expr=f"{refused('5m', Reason.REPLAYED)} >= {_REPLAYS.events}",
        needs=_REPLAYS,
        hold=_NONE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F4",),
        hurt="tokens that may be used once came again, {{ $value | humanize }} in five minutes",
        first=ask('sum by (job, audience) (increase(jwt_verification_total{reason="replayed"}[15m]))'),
        description="A stolen token, or a client that sends again what it must not.",
        culprit=worst(metrics.VERIFICATION, "audience, kid", among([Reason.REPLAYED])),
    ),
    DetectionAlert(
        name="JwtUnknownKidFlood",
        expr=(
            f"{rise(_FLOOD, Reason.UNKNOWN_KID)}\n"
            f"and {refused('5m', Reason.UNKNOWN_KID)} >= 5 * {usual(REFUSED_OF_LATE, among([Reason.UNKNOWN_KID]))}"
        ),
        needs=_FLOOD,
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F14",),
        hurt="tokens come with keys that nobody published, {{ $value | humanize }} in five minutes",
        first=ask("sum by (job, result) (increase(jwt_jwks_fetch_total[5m]))"),
        description="Each may make a verifier fetch the key set: an attack on the issuer by way of its verifiers.",
        silences=("JwtJwksFetchStorm", *_SYMPTOM),
        culprit=worst(metrics.VERIFICATION, "audience", among([Reason.UNKNOWN_KID]), "5m"),
    ),
    DetectionAlert(
        name="JwtAuthFailureRatio",
        expr=(
            "label_replace(\n"  # the alert's own label `route` names a team
            f"  {_UNAUTHORIZED} >= {_UNWELCOME.events}\n"
            f"  and {_UNAUTHORIZED} >= {_UNWELCOME.share} * {events(metrics.PROTECTED_REQUESTS, '30m', by=_ROUTE)}\n"
            f"  and {_UNAUTHORIZED} >= 18 * {usual(UNAUTHORIZED_OF_LATE, by=_ROUTE)},\n"
            '  "path", "$1", "route", "(.*)"\n)'
        ),
        needs=_UNWELCOME,
        hold=15 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.SERVICE,
        detects=("F1", "F2", "F3"),
        hurt="{{ $labels.path }} answered 401 or 403 {{ $value | humanize }} times in half an hour, thrice the usual",
        first=ask(
            "topk(5, sum by (client, code) (increase("
            'jwt_protected_requests_total{route="{{ $labels.path }}", code=~"401|403"}[30m])))'
        ),
        description="One in twenty or more there (M5). Where a refusal is not known to be anyone's, client is unknown.",
        by=("environment", "path"),
        culprit=worst(metrics.PROTECTED_REQUESTS, "client, code", 'code=~"401|403"', "30m"),
    ),
    DetectionAlert(
        name="JwtExcessScope",
        expr=f"{events(metrics.TOKEN_EXCESS_SCOPE, '1h')} >= 1",
        needs=_ONE,
        hold=_NONE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F6",),
        hurt="{{ $value | humanize }} tokens within the hour carried more scope than is allowed",
        first=ask("sum by (job, instance) (increase(jwt_token_excess_scope_total[1h]))"),
        description="A client was granted too much: what leaks with such a token is worth more.",
        culprit=worst(metrics.TOKEN_EXCESS_SCOPE, "job, instance", window="1h"),
    ),
    DetectionAlert(
        name="JwtTokenLeakSuspicion",
        expr=f"{events(metrics.TOKEN_LEAK_SUSPICION, '1h')} >= 1",
        needs=_ONE,
        hold=_NONE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F7",),
        hurt="{{ $value | humanize }} tokens within the hour came from abnormally many addresses",
        first=ask("sum by (job, instance) (increase(jwt_token_leak_suspicion_total[1h]))"),
        description="One token from many places lies in a log, in a repository, or in somebody else's hands.",
        culprit=worst(metrics.TOKEN_LEAK_SUSPICION, "job, instance", window="1h"),
    ),
    DetectionAlert(
        name="JwtTokenLifetimeLong",
        expr=f"{_LONG} >= {_LONG_LIVED.events}\nand {_LONG} >= {_LONG_LIVED.share} * {_LIFETIMES}",
        needs=_LONG_LIVED,
        hold=_NONE,
        severity=Severity.TICKET,
        route=Route.SECURITY,
        detects=("F2", "F7"),
        hurt="{{ $value | humanize }} tokens within the hour live for more than a day",
        first=ask("sum by (le) (increase(jwt_token_lifetime_seconds_bucket[1h]))"),
        description="A bearer token that leaks is good until it expires: one in a hundred lives too long (M8).",
    ),
    DetectionAlert(
        name="JwtFalseAccept",
        expr=f"{_LET_IN} >= 1",
        needs=_ONE_OF_LATE,
        hold=_NONE,
        severity=Severity.PAGE,
        route=Route.SECURITY,
        detects=("F1", "F3", "F4", "F11"),
        hurt="bad tokens of the case {{ $labels.case }} are let in by {{ $labels.flow }}",
        first="jwtdrill attack TARGET --case {{ $labels.case }}",
        description="The harness made these tokens and knows that a correct system refuses them.",
        by=_HARNESS,
    ),
)
