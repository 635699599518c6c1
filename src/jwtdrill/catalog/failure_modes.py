"""The failure modes: what breaks, how to break it on purpose, what must notice, where to look.

To add one: an entry here, a fault in `faults/`, a drill in `chaos/`, a runbook for each new alert. A test says
what is missing.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One row of the failure modes F1–F14.

    faults: names as in `faults/`; alerts: that must fire; panel: dashboard and title; drill: file in `chaos/`.
    """

    id: str
    name: str
    cause: str
    signal: str
    faults: tuple[str, ...]
    alerts: tuple[str, ...]
    panel: tuple[str, str]
    drill: str


FAILURE_MODES: tuple[FailureMode, ...] = (
    FailureMode(
        id="F8",
        name="rotation without overlap",
        cause="the old key is dropped from the key set while tokens that it signed are still in use",
        signal="unknown-kid failures at every verifier at once, and the canary fails with them",
        faults=("keys.rotate_without_overlap", "jwks.missing_newest_key"),
        alerts=("JwtVerificationBudgetBurn",),
        panel=("oncall", "Refusals by reason"),
        drill="rotation_without_overlap",
    ),
    FailureMode(
        id="F9",
        name="clock skew",
        cause="the clock of a verifier or of the issuer has drifted",
        signal="good tokens are refused as not yet valid or expired; the clock offset falls below zero",
        faults=("clock.skew",),
        alerts=("JwtVerificationBudgetBurn", "JwtClockOffset"),
        panel=("oncall", "Clock offset"),
        drill="clock_skew",
    ),
    FailureMode(
        id="F10",
        name="JWKS outage",
        cause="the key set endpoint is down, slow, or serves garbage",
        signal="fetch errors, then key_unavailable once the keys on hand are too old",
        faults=(
            "jwks.refused",
            "jwks.status",
            "jwks.latency",
            "jwks.hang",
            "jwks.garbage",
            "jwks.stale",
        ),
        alerts=("JwtJwksFetchFailing", "JwtVerificationBudgetBurn"),
        panel=("oncall", "JWKS fetches"),
        drill="jwks_outage",
    ),
)
