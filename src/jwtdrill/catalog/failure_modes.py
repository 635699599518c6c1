"""The failure modes: what breaks, how to break it on purpose, what must notice, where to look.

To add one: an entry here, a fault in `faults/`, a drill in `chaos/`, a runbook for each new alert. A test says
what is missing.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One row of the failure modes F1–F14.

    alerts: that detect it; panel: dashboard and title; faults: names as in `faults/`; drills: files in `chaos/`.
    """

    id: str
    name: str
    cause: str
    signal: str
    alerts: tuple[str, ...]
    panel: tuple[str, str]
    faults: tuple[str, ...] = ()
    drills: tuple[str, ...] = ()


_REFUSALS = ("oncall", "Refusals by reason")

FAILURE_MODES: tuple[FailureMode, ...] = (
    FailureMode(
        id="F1",
        name="signature failures",
        cause="a wrong key, or an algorithm taken from the token",
        signal="refusals for a bad signature or an algorithm that is not allowed, while the canary is accepted",
        alerts=("JwtSignatureFailures", "JwtTokenMisuseSpike"),
        panel=_REFUSALS,
        faults=("misuse.forged",),
        drills=(
            "forged_token_flood",
            "forged_tokens",
        ),
    ),
    FailureMode(
        id="F2",
        name="expired tokens",
        cause="clients that keep tokens for too long, clocks that drift, lifetimes that are too long",
        signal="refusals as expired rise; tokens that live for days are seen",
        alerts=("JwtExpiredTokenStorm", "JwtTokenLifetimeLong"),
        panel=_REFUSALS,
        faults=("misuse.expired",),
        drills=("expired_token_storm",),
    ),
    FailureMode(
        id="F3",
        name="audience mismatch",
        cause="a client asks for the wrong audience, or sends a token to the wrong service",
        signal="refusals for a wrong audience",
        alerts=("JwtAudienceMismatch",),
        panel=("oncall", "Refusals by issuer and audience"),
        faults=("misuse.wrong_audience",),
        drills=("audience_mismatch",),
    ),
    FailureMode(
        id="F4",
        name="replay",
        cause="a stolen token, and a service that does not remember what it has seen",
        signal="the same token again: refused as replayed, or let in",
        alerts=("JwtTokenReplay",),
        panel=("debug", "Replays"),
        faults=(
            "misuse.replay",
            "misuse.refresh_reuse",
        ),
        drills=("replay",),
    ),
    FailureMode(
        id="F5",
        name="key distribution lag",
        cause="a verifier's cache of the key set is stale",
        signal="unknown-kid refusals at some verifiers and not at others; the age of the keys on hand rises",
        alerts=("JwtKeySetStale", "JwtVerificationBudgetBurn"),
        panel=("oncall", "Age of the keys on hand"),
        faults=("jwks.stale", "jwks.not_modified", "jwks.cache_headers"),
        drills=(
            "auth0_2018_11",
            "key_distribution_lag",
        ),
    ),
    FailureMode(
        id="F6",
        name="over-privileged tokens",
        cause="broad scopes are granted, or a policy has changed",
        signal="tokens that carry more scope than is allowed",
        alerts=("JwtExcessScope",),
        panel=("debug", "Excess scope and leak suspicions"),
        faults=("misuse.over_scoped",),
        drills=("over_privileged_tokens",),
    ),
    FailureMode(
        id="F7",
        name="token leakage",
        cause="tokens in logs, in repositories, in a browser's storage",
        signal="one token from abnormally many addresses",
        alerts=("JwtTokenLeakSuspicion",),
        panel=("debug", "Excess scope and leak suspicions"),
        faults=("misuse.spray",),
        drills=("token_leakage",),
    ),
    FailureMode(
        id="F8",
        name="rotation without overlap",
        cause="the old key is dropped from the key set while tokens that it signed are still in use",
        signal="unknown-kid failures at every verifier at once, and the canary fails with them",
        alerts=("JwtRotationBroken", "JwtVerificationBudgetBurn"),
        panel=_REFUSALS,
        faults=(
            "keys.rotate_without_overlap",
            "keys.rotate",
            "keys.use_before_published",
            "keys.rollback_disables_live_key",
            "keys.remove_live_key",
            "keys.two_signers",
            "keys.stuck_half_way",
            "keys.algorithm_change",
            "keys.reuse_kid",
            "jwks.missing_newest_key",
            "jwks.missing_oldest_key",
            "jwks.wrong_key",
        ),
        drills=(
            "azure_2021_03",
            "github_2023_12",
            "logto_2026_01",
            "mesh_rotation",
            "new_key_before_published",
            "rotation_stuck",
            "rotation_without_overlap",
        ),
    ),
    FailureMode(
        id="F9",
        name="clock skew",
        cause="the clock of a verifier or of the issuer has drifted",
        signal="good tokens are refused as not yet valid or expired; the clock offset falls below zero",
        alerts=("JwtVerificationBudgetBurn", "JwtClockOffset"),
        panel=("oncall", "Clock offset"),
        faults=("clock.skew", "clock.drift", "clock.step", "clock.back_step", "clock.skewed_claims"),
        drills=(
            "clock_skew",
            "influxdata_2026_01",
            "issuer_ahead",
        ),
    ),
    FailureMode(
        id="F10",
        name="JWKS outage",
        cause="the key set endpoint is down, slow, or serves garbage",
        signal="fetch errors, then key_unavailable once the keys on hand are too old",
        alerts=("JwtJwksFetchFailing", "JwtVerificationBudgetBurn"),
        panel=("oncall", "JWKS fetches"),
        faults=(
            "jwks.refused",
            "jwks.status",
            "jwks.latency",
            "jwks.hang",
            "jwks.hang_after_headers",
            "jwks.reset",
            "jwks.truncated",
            "jwks.garbage",
            "jwks.html",
            "jwks.empty_set",
            "jwks.malformed_keys",
            "jwks.extra_keys",
            "jwks.huge_body",
            "jwks.redirect",
            "jwks.content_type",
            "jwks.certificate",
            "load.thundering_herd",
        ),
        drills=("jwks_outage",),
    ),
    FailureMode(
        id="F11",
        name="issuer key compromise",
        cause="a signing key is stolen",
        signal="tokens that the revoked key signed are let in until each cache knows",
        alerts=("JwtRevokedKeyAccepted", "JwtFalseAccept"),
        panel=("executive", "Bad tokens let in"),
        faults=("keys.compromise", "misuse.forged"),
        drills=(
            "compromise_response",
            "key_compromise",
        ),
    ),
    FailureMode(
        id="F12",
        name="token endpoint slow or down",
        cause="the issuer is overloaded or broken",
        signal="issuance errors and latency; fewer tokens than at this hour yesterday",
        alerts=("JwtIssuanceBudgetBurn", "JwtIssuanceLatencyBudgetBurn", "JwtIssuanceDrop"),
        panel=("debug", "Token request latency"),
        faults=(
            "issuer.overloaded",
            "token.status",
            "token.refused",
            "token.latency",
            "token.hang",
        ),
        drills=("token_endpoint_down", "token_endpoint_slow"),
    ),
    FailureMode(
        id="F13",
        name="introspection slow or down",
        cause="the issuer is overloaded or broken",
        signal="introspection errors and latency",
        alerts=("JwtIntrospectionBudgetBurn", "JwtIntrospectionLatencyBudgetBurn"),
        panel=("debug", "Introspection latency"),
        faults=(
            "issuer.overloaded",
            "introspection.status",
            "introspection.latency",
            "introspection.hang",
            "cpu.starved",
        ),
        drills=("introspection_down", "introspection_slow"),
    ),
    FailureMode(
        id="F14",
        name="unknown-kid flood",
        cause="somebody sends tokens with made-up key ids, and verifiers fetch the key set for each",
        signal="unknown-kid refusals, and more fetches of the key set than its lifetime explains",
        alerts=("JwtUnknownKidFlood", "JwtJwksFetchStorm", "JwtTokenMisuseSpike"),
        panel=("oncall", "JWKS fetches"),
        faults=("misuse.unknown_kid",),
        drills=("unknown_kid_flood",),
    ),
)
