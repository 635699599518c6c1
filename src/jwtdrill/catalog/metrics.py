"""Every metric that instrumented services and the harness emit: the contract that all else is derived from.

Conventions of Prometheus and OpenMetrics: base units, `_total` on counters, `_seconds` on durations. The bucket
bounds hold the bounds of the objectives exactly, so that a latency objective is read off a bucket.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """OpenMetrics metric type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    name: as queried (counters with `_total`). unit: base unit or empty. labels: in order.
    requirements: ids of M1–M10, F1–F14 that it serves.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    requirements: tuple[str, ...] = ()

    @property
    def events(self) -> str:
        """The series that the rules record of a counter: its events since their last evaluation."""
        return f"jwtdrill:{self.name.removesuffix('_total')}:events"

    def part_events(self, suffix: str) -> str:
        """The same of a part of a histogram, `_count` or `_bucket`."""
        return f"jwtdrill:{self.name}{suffix}:events"


def bucket(bound: float) -> str:
    """The matcher of a histogram's bucket: some clients write 1 where others write 1.0."""
    digits = f"{bound:.12g}".replace(".", "[.]")
    return f'le=~"{digits}([.]0+)?"' if bound == int(bound) else f'le="{bound:.12g}"'


ENVIRONMENT = "environment"  # set by the scrape configuration on every series, never by a service
GRAFANA_TAG = "jwtdrill"  # of our dashboards, and of the annotations that drills leave

# Seconds. 0.05, 0.2 and 0.5 are the bounds of M4 and M10; the low end resolves local verification.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
# Seconds of exp - iat, from half a minute to a month.
LIFETIME_BUCKETS = (30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0, 604800.0, 2592000.0)

ISSUANCE = Metric(
    "jwt_issuance_total",
    Kind.COUNTER,
    "Token requests answered, by result and OAuth error code.",
    ("issuer", "grant_type", "result", "error"),
    requirements=("M1", "M2", "F12"),
)
ISSUANCE_DURATION = Metric(
    "jwt_issuance_duration_seconds",
    Kind.HISTOGRAM,
    "Time to answer a token request.",
    ("issuer", "grant_type", "result", "error"),
    "seconds",
    LATENCY_BUCKETS,
    ("F12",),
)
VERIFICATION = Metric(
    "jwt_verification_total",
    Kind.COUNTER,
    "Tokens verified, by result and reason of refusal.",
    ("issuer", "audience", "kid", "alg", "result", "reason"),
    requirements=("M3", "M6", "M7", "F1", "F2", "F3", "F5", "F8", "F9"),
)
VERIFICATION_DURATION = Metric(
    "jwt_verification_duration_seconds",
    Kind.HISTOGRAM,
    "Time to verify a token, with any wait for keys.",
    ("issuer", "alg", "cached", "result"),
    "seconds",
    LATENCY_BUCKETS,
    ("M4",),
)
JWKS_FETCH = Metric(
    "jwt_jwks_fetch_total",
    Kind.COUNTER,
    "Attempts to fetch the key set.",
    ("issuer", "result"),
    requirements=("M6", "F10", "F14"),
)
JWKS_FETCH_DURATION = Metric(
    "jwt_jwks_fetch_duration_seconds",
    Kind.HISTOGRAM,
    "Time of an attempt to fetch the key set.",
    ("issuer", "result"),
    "seconds",
    LATENCY_BUCKETS,
    ("F10",),
)
JWKS_LAST_SUCCESS = Metric(
    "jwt_jwks_last_success_timestamp_seconds",
    Kind.GAUGE,
    "When the key set was last fetched from its origin and found good, Unix time: a cache's Age is taken off.",
    ("issuer",),
    "seconds",
    requirements=("F5", "F10"),
)
JWKS_KEYS = Metric("jwt_jwks_keys", Kind.GAUGE, "Usable keys on hand.", ("issuer",), requirements=("F5", "F10"))
JWKS_LIFETIME = Metric(
    "jwt_jwks_lifetime_seconds",
    Kind.GAUGE,
    "Cache lifetime in force for the key set, from Cache-Control within the configured bounds.",
    ("issuer",),
    "seconds",
    requirements=("F5",),
)
JWKS_STALE_LIMIT = Metric(
    "jwt_jwks_stale_limit_seconds",
    Kind.GAUGE,
    "Age at which keys on hand stop being trusted when the key set cannot be fetched.",
    ("issuer",),
    "seconds",
    requirements=("F10",),
)
SIGNING_KEY_INFO = Metric(
    "jwt_signing_key_info",
    Kind.GAUGE,
    "1 for each key and its state: published, active or retired at the issuer, trusted at a verifier.",
    ("issuer", "kid", "alg", "state"),
    requirements=("F8", "F11"),
)
SIGNING_KEY_ACTIVATED = Metric(
    "jwt_signing_key_activated_timestamp_seconds",
    Kind.GAUGE,
    "When the key began to sign, Unix time.",
    ("issuer", "kid", "alg", "state"),
    "seconds",
    requirements=("F8",),
)
KEY_ROTATION = Metric(
    "jwt_key_rotation_total",
    Kind.COUNTER,
    "Changes of the active signing key.",
    ("issuer", "result"),
    requirements=("M6", "F8"),
)
INTROSPECTION = Metric(
    "jwt_introspection_total",
    Kind.COUNTER,
    "Introspection requests answered, by result and OAuth error code.",
    ("issuer", "result", "error"),
    requirements=("M10", "F13"),
)
INTROSPECTION_DURATION = Metric(
    "jwt_introspection_duration_seconds",
    Kind.HISTOGRAM,
    "Time to answer an introspection request.",
    ("issuer", "result", "error"),
    "seconds",
    LATENCY_BUCKETS,
    ("M10", "F13"),
)
TOKEN_LIFETIME = Metric(
    "jwt_token_lifetime_seconds",
    Kind.HISTOGRAM,
    "exp - iat of the tokens whose signature was good.",
    ("issuer",),
    "seconds",
    LIFETIME_BUCKETS,
    ("M8",),
)
TOKEN_CLOCK_OFFSET = Metric(
    "jwt_token_clock_offset_seconds",
    Kind.GAUGE,
    "Least now - iat of well-signed tokens in the last minute; below zero, somebody's clock is wrong.",
    ("issuer",),
    "seconds",
    requirements=("F9",),
)
TOKEN_LEAK_SUSPICION = Metric(
    "jwt_token_leak_suspicion_total",
    Kind.COUNTER,
    "Tokens seen from abnormally many addresses, each once.",
    ("issuer",),
    requirements=("M9", "F7"),
)
TOKEN_EXCESS_SCOPE = Metric(
    "jwt_token_excess_scope_total",
    Kind.COUNTER,
    "Tokens that carry more scope than is allowed, each once.",
    ("issuer",),
    requirements=("F6",),
)
REVOKED_KEY_ACCEPTED = Metric(
    "jwt_revoked_key_accepted_total",
    Kind.COUNTER,
    "Tokens accepted on a key that is revoked.",
    ("issuer",),
    requirements=("F11",),
)
PROTECTED_REQUESTS = Metric(
    "jwt_protected_requests_total",
    Kind.COUNTER,
    "Requests to protected resources, by route template and status.",
    ("route", "code", "client"),
    requirements=("M5",),
)

REQUESTS = Metric(
    "jwtdrill_requests_total",
    Kind.COUNTER,
    "Requests that the harness sent, by expected and actual verdict.",
    ("flow", "case", "expected", "verdict"),
)
REQUEST_DURATION = Metric(
    "jwtdrill_request_duration_seconds",
    Kind.HISTOGRAM,
    "Time from the intended start of a request to its answer.",
    ("flow", "case"),
    "seconds",
    LATENCY_BUCKETS,
)
ARRIVALS_MISSED = Metric("jwtdrill_arrivals_missed_total", Kind.COUNTER, "Requests that could not start in time.")
USERS = Metric("jwtdrill_users", Kind.GAUGE, "Simulated clients that run.")
FAULT_ACTIVE = Metric("jwtdrill_fault_active", Kind.GAUGE, "1 while the fault is in force.", ("fault",))
AT_ISSUER = "token_endpoint"  # as the canary's resource: there it asks for tokens, and sends none
CANARY = Metric(
    "jwtdrill_canary_total",
    Kind.COUNTER,
    "Known-good tokens sent to each resource, and asked of the token endpoint.",
    ("issuer", "resource", "result"),
    requirements=("M3", "F12"),
)
CANARY_DURATION = Metric(
    "jwtdrill_canary_duration_seconds",
    Kind.HISTOGRAM,
    "Time of a canary request.",
    ("issuer", "resource"),
    "seconds",
    LATENCY_BUCKETS,
)
JWKS_AGE = Metric(
    "jwtdrill_jwks_age_seconds",
    Kind.GAUGE,
    "Time since the canary last fetched a good key set.",
    ("issuer",),
    "seconds",
    requirements=("F10",),
)
KID_FIRST_SEEN = Metric(
    "jwtdrill_kid_first_seen_timestamp_seconds",
    Kind.GAUGE,
    "When the canary first saw a key that was published while it looked, Unix time; 16 keys at most.",
    ("issuer", "kid"),
    "seconds",
    requirements=("F8",),
)
CERTIFICATE_EXPIRY = Metric(
    "jwtdrill_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "When the certificate of a host runs out, Unix time.",
    ("host",),
    "seconds",
)

SERVICE_METRICS: tuple[Metric, ...] = (
    ISSUANCE,
    ISSUANCE_DURATION,
    VERIFICATION,
    VERIFICATION_DURATION,
    JWKS_FETCH,
    JWKS_FETCH_DURATION,
    JWKS_LAST_SUCCESS,
    JWKS_KEYS,
    JWKS_LIFETIME,
    JWKS_STALE_LIMIT,
    SIGNING_KEY_INFO,
    SIGNING_KEY_ACTIVATED,
    KEY_ROTATION,
    INTROSPECTION,
    INTROSPECTION_DURATION,
    TOKEN_LIFETIME,
    TOKEN_CLOCK_OFFSET,
    TOKEN_LEAK_SUSPICION,
    TOKEN_EXCESS_SCOPE,
    REVOKED_KEY_ACCEPTED,
    PROTECTED_REQUESTS,
)
HARNESS_METRICS: tuple[Metric, ...] = (
    REQUESTS,
    REQUEST_DURATION,
    ARRIVALS_MISSED,
    USERS,
    FAULT_ACTIVE,
    CANARY,
    CANARY_DURATION,
    JWKS_AGE,
    KID_FIRST_SEEN,
    CERTIFICATE_EXPIRY,
)
METRICS: tuple[Metric, ...] = SERVICE_METRICS + HARNESS_METRICS
