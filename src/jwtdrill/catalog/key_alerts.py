"""Detection alerts on keys, key sets, clocks and certificates, and on an issuer whom nobody reaches."""

from datetime import timedelta

from jwtdrill.catalog import metrics
from jwtdrill.catalog.alerting import GROUP, DetectionAlert, Needs, Route
from jwtdrill.catalog.objectives import Severity
from jwtdrill.catalog.promql import CALLS, ask, events, refused, worst
from jwtdrill.catalog.reasons import Blame, Reason, reasons_blamed_on

_FAILURE, _SUCCESS = 'result="failure"', 'result="success"'
_NONE, _MINUTE = timedelta(0), timedelta(minutes=1)
_OF_KEY = Needs(5, 5 * _MINUTE)  # refusals
_FAILED_ROTATION = Needs(1, 60 * _MINUTE)
_LET_IN = Needs(1, 5 * _MINUTE)
_FAILED_FETCHES = Needs(3, 5 * _MINUTE)
_MANY_FETCHES = Needs(60, 5 * _MINUTE)
_CLOCK_TOLERANCE = 2  # seconds; iat is a whole second, and clocks kept by NTP agree within one
_VERIFIER = "environment, issuer, job, instance"
_RESOURCE = ("environment", "issuer", "resource")
_FETCH, _AGE = metrics.JWKS_FETCH.name, f"time() - {metrics.JWKS_LAST_SUCCESS.name}"
_BEHIND = f"{metrics.TOKEN_CLOCK_OFFSET.name} < -{_CLOCK_TOLERANCE}"
_ACTIVATED = f"time() - max by (environment, issuer) ({metrics.SIGNING_KEY_ACTIVATED.name}"
_FIRST_SEEN = f"time() - max by (environment, issuer) ({metrics.KID_FIRST_SEEN.name}"
_KEYS_CHANGED = f"max by (environment, issuer) (changes({metrics.JWKS_KEYS.name}[1h]))"
_CANT_BE_CLIENTS = (*reasons_blamed_on(Blame.SERVICE), *reasons_blamed_on(Blame.AMBIGUOUS))
_SUNG = events(metrics.CANARY, "2m", CALLS, _RESOURCE)
_OF_KEYS = refused("5m", Reason.UNKNOWN_KID, Reason.BAD_SIGNATURE)
_ISSUED = events(metrics.ISSUANCE, "30m", _SUCCESS)
_YESTERDAY, _LAST_WEEK = (events(metrics.ISSUANCE, "30m", _SUCCESS, offset=past) for past in ("1d", "7d"))
_METADATA = "curl -sS -m 5 {{ $labels.issuer }}/.well-known/openid-configuration"
_KEY_SET = f"curl -sS -m 5 $({_METADATA} | jq -r .jwks_uri)"

KEY_ALERTS: tuple[DetectionAlert, ...] = (
    DetectionAlert(
        name="JwtRotationBroken",
        expr=(
            "min by (environment, issuer) (\n"
            f"  ({events(metrics.CANARY, '2m', f'{_FAILURE}, {CALLS}', _RESOURCE)} or {_SUNG} * 0) / ({_SUNG} > 0)\n"
            ") >= 0.2\n"
            f"and {_OF_KEYS} >= {_OF_KEY.events}\n"
            f"and {_OF_KEYS} >= 0.5 * {refused('5m', *_CANT_BE_CLIENTS)}\n"
            f"and (\n  {_ACTIVATED}) <= seconds(1h)\n  or {_FIRST_SEEN}) <= seconds(1h)\n  or {_KEYS_CHANGED} > 0\n)"
        ),
        needs=_OF_KEY,
        hold=_NONE,
        severity=Severity.PAGE,
        route=Route.PLATFORM,
        detects=("F8",),
        hurt="after a change of keys every service refuses good tokens, {{ $value | humanizePercentage }} of them",
        first=_KEY_SET,
        description=(
            "The canary fails at every resource, tokens are refused for their key, and within the last hour a key "
            "was added, activated or removed: one was dropped too early, or signs before verifiers know it."
        ),
        builds_up=timedelta(seconds=24),
        silences=(
            "JwtVerificationBudgetBurn",
            "JwtCanaryBudgetBurn",
            "JwtSignatureFailures",
            "JwtUnknownKidFlood",
            "JwtAuthFailureRatio",
        ),
        culprit="topk(1, max by (kid, state) (jwt_signing_key_activated_timestamp_seconds{$SCOPE}))",
    ),
    DetectionAlert(
        name="JwtRotationFailed",
        expr=f"{events(metrics.KEY_ROTATION, '1h', _FAILURE)} >= {_FAILED_ROTATION.events}",
        needs=_FAILED_ROTATION,
        hold=_NONE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F8",),
        hurt="a rotation of the signing key failed, and users feel nothing of it yet",
        first=ask("jwt_signing_key_info"),
        description="The key that should have been replaced signs on. What fails in silence comes due later.",
    ),
    DetectionAlert(
        name="JwtSigningKeyOld",
        expr=(
            f"time() - max by (environment, issuer, alg) ({metrics.SIGNING_KEY_ACTIVATED.name}"
            '{state="active"}) >= seconds(90d)'
        ),
        hold=60 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F8", "F11"),
        hurt="one key has signed for {{ $value | humanizeDuration }}, and nobody knows whether a rotation works",
        first=ask("time() - jwt_signing_key_activated_timestamp_seconds"),
        description="A key that is never rotated cannot be rotated in a hurry on the day when it is stolen.",
        builds_up=timedelta(days=90),
        by=(*GROUP, "alg"),
    ),
    DetectionAlert(
        name="JwtRevokedKeyAccepted",
        expr=f"{events(metrics.REVOKED_KEY_ACCEPTED, '5m')} >= {_LET_IN.events}",
        needs=_LET_IN,
        hold=_NONE,
        severity=Severity.PAGE,
        route=Route.SECURITY,
        detects=("F11",),
        hurt="{{ $value | humanize }} tokens signed by a revoked key were let in",
        first=ask("sum by (job, instance, kid) (jwt_signing_key_info)"),
        description="A verifier trusts a key that was revoked: whoever stole it is in until that cache knows.",
        culprit=worst(metrics.REVOKED_KEY_ACCEPTED, "job, instance", window="5m"),
    ),
    DetectionAlert(
        name="JwtJwksFetchFailing",
        expr=(
            "count by (environment, issuer) (\n"
            f"  increase({_FETCH}{{{_FAILURE}}}[5m]) >= {_FAILED_FETCHES.events}\n"
            f"  unless on ({_VERIFIER})\n"
            f"  increase({_FETCH}{{{_SUCCESS}}}[5m]) > 0\n"
            ") > 0"
        ),
        needs=_FAILED_FETCHES,
        hold=_MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F5", "F10"),
        hurt="{{ $value }} verifier(s) cannot fetch the keys, and will refuse everybody once those on hand are too old",
        first=_KEY_SET,
        description=(
            "Every fetch of the key set failed in the last five minutes. Verification goes on with the keys on "
            "hand until their stale limit, then every token is refused."
        ),
        silences=("JwtKeySetStale",),
        culprit=worst(metrics.JWKS_FETCH, "job, instance", _FAILURE, "5m"),
    ),
    DetectionAlert(
        name="JwtKeySetStale",
        expr=(
            "count by (environment, issuer) (\n"
            f"  {_AGE} >= seconds(10m)\n"
            f"  and on ({_VERIFIER})\n"
            f"  {_AGE} >= 2 * {metrics.JWKS_LIFETIME.name}\n"
            f"  unless on ({_VERIFIER})\n"
            f"  {_BEHIND}\n"  # the time of its last fetch is as wrong as its clock
            f"  and on ({_VERIFIER})\n"
            f"  sum by ({_VERIFIER}) (increase({metrics.VERIFICATION.name}[5m])) > 0\n"
            ") > 0"
        ),
        hold=5 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F5", "F10"),
        hurt="{{ $value }} verifier(s) go by keys that should have been fetched anew long ago",
        first=_KEY_SET,
        description=(
            "The key set on hand is twice as old as its cache lifetime and more than ten minutes: a new key is not "
            "known there, and one that was removed is still trusted."
        ),
        builds_up=10 * _MINUTE,
        culprit=f"topk(1, time() - max by (job, instance) ({metrics.JWKS_LAST_SUCCESS.name}{{$SCOPE}}))",
    ),
    DetectionAlert(
        name="JwtJwksFetchStorm",
        expr=(
            "count by (environment, issuer) ("
            f"sum by ({_VERIFIER}) (increase({_FETCH}[5m])) >= {_MANY_FETCHES.events}) > 0"
        ),
        needs=_MANY_FETCHES,
        hold=_MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F14",),
        hurt="{{ $value }} verifier(s) fetch the key set more often than each five seconds",
        first=ask(f"topk(5, sum by (job, instance) (increase({_FETCH}[5m])))"),
        description="A verifier that fetches for each unknown kid, or whose cache does not hold, overloads the issuer.",
        culprit=worst(metrics.JWKS_FETCH, "job, instance", window="5m"),
    ),
    DetectionAlert(
        name="JwtClockOffset",
        expr=f"min by (environment, issuer) ({_BEHIND})",
        hold=2 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F9",),
        hurt="a clock is wrong by {{ $value | humanizeDuration }}, and tokens come from the future",
        first="timedatectl; chronyc tracking",
        description=(
            "A verifier sees well-signed tokens that were issued later than its own clock says: the issuer's "
            "clock is ahead or the verifier's is behind."
        ),
        culprit=f"bottomk(1, min by (job, instance) ({metrics.TOKEN_CLOCK_OFFSET.name}{{$SCOPE}}))",
    ),
    DetectionAlert(
        name="JwtIssuanceDrop",
        expr=(f"{_ISSUED} <= 0.3 * {_YESTERDAY}\nand {_YESTERDAY} >= 100\nunless {_ISSUED} > 0.3 * {_LAST_WEEK}"),
        hold=10 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F12",),
        hurt="clients got {{ $value | humanize }} tokens in half an hour, under a third of yesterday's and last week's",
        first="jwtdrill check TARGET",
        description="No error need be seen for it: clients may not reach the token endpoint at all (M1).",
        builds_up=21 * _MINUTE,
        culprit="topk(1, sum by (grant_type) (increase(jwt_issuance_total{$SCOPE}[30m] offset 1d)))",
    ),
    DetectionAlert(
        name="JwtCertificateExpiring",
        expr=f"min by (environment, host) ({metrics.CERTIFICATE_EXPIRY.name}) - time() <= {14 * 86400}",
        hold=60 * _MINUTE,
        severity=Severity.TICKET,
        route=Route.PLATFORM,
        detects=("F10", "F12"),
        hurt="the certificate of {{ $labels.host }} runs out in {{ $value | humanizeDuration }}",
        first="openssl s_client -connect {{ $labels.host }} </dev/null | openssl x509 -noout -enddate",
        description="When it runs out nobody gets keys or tokens from there.",
        by=("environment", "host"),
    ),
)
