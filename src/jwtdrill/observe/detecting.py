"""What the detection alerts are made of: the counters that they need, and what is recorded beside the counts."""

from datetime import timedelta
from typing import Any

from jwtdrill.catalog import metrics
from jwtdrill.catalog.promql import MISUSE_OF_LATE, REFUSED_OF_LATE, UNAUTHORIZED_OF_LATE
from jwtdrill.catalog.token_alerts import LONG_LIFETIME
from jwtdrill.observe.counting import Counted
from jwtdrill.observe.indicators import misuse
from jwtdrill.observe.timing import TimeScale

_OF_LATE = timedelta(minutes=5)
_ISSUER = "issuer"

COUNTED: tuple[Counted, ...] = (
    Counted(metrics.CANARY, (_ISSUER, "resource", "result")),
    Counted(metrics.VERIFICATION, (_ISSUER, "result", "reason")),
    Counted(metrics.ISSUANCE, (_ISSUER, "result", "error")),
    Counted(metrics.INTROSPECTION, (_ISSUER, "result")),
    Counted(metrics.KEY_ROTATION, (_ISSUER, "result")),
    Counted(metrics.REVOKED_KEY_ACCEPTED, (_ISSUER,)),
    Counted(metrics.TOKEN_LEAK_SUSPICION, (_ISSUER,)),
    Counted(metrics.TOKEN_EXCESS_SCOPE, (_ISSUER,)),
    Counted(metrics.TOKEN_LIFETIME, (_ISSUER,), "_count"),
    Counted(metrics.TOKEN_LIFETIME, (_ISSUER, "le"), "_bucket", metrics.bucket(LONG_LIFETIME.total_seconds())),
    Counted(metrics.PROTECTED_REQUESTS, ("route", "code")),
    Counted(metrics.REQUESTS, ("flow", "case", "expected", "verdict")),
)


def records(scale: TimeScale, hour: str) -> list[dict[str, Any]]:
    """The rules that record misuse, and what the last five minutes saw. hour: in which traffic counts as usual."""
    late = scale.window(_OF_LATE)

    def of_late(record: str, by: str, recorded: str) -> dict[str, Any]:
        return {"record": record, "expr": f"sum by (environment, {by}) (sum_over_time({recorded}[{late}]))"}

    return [
        {"record": MISUSE_OF_LATE, "expr": misuse(scale, hour, _OF_LATE)},
        of_late(REFUSED_OF_LATE, "issuer, reason", f'{metrics.VERIFICATION.events}{{result="failure"}}'),
        of_late(UNAUTHORIZED_OF_LATE, "route", f'{metrics.PROTECTED_REQUESTS.events}{{code=~"401|403"}}'),
    ]
