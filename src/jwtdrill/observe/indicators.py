"""The indicators in PromQL: for each, the rate of bad events and of good ones.

Both are per environment and issuer. What the client is to blame
for is in neither; what is ambiguous is bad only while the canary of that issuer and environment fails too.
"""

from dataclasses import dataclass

from jwtdrill.catalog import metrics
from jwtdrill.catalog.objectives import Indicator, Objective
from jwtdrill.catalog.reasons import Blame, TokenError, reasons_blamed_on

GROUP = "environment, issuer"
SUCCESS = 'result="success"'
FAILURE = 'result="failure"'


@dataclass(frozen=True, slots=True)
class Events:
    """PromQL of the rates of bad and of good events, in events per second. Either may be empty."""

    bad: str
    good: str


def events(objective: Objective, window: str) -> Events:
    """The rates that the objective is judged by, over that window."""
    match objective.indicator:
        case Indicator.ISSUANCE_SUCCESS:
            blamed = "|".join(error for error in TokenError if error.blame is Blame.SERVICE)
            return Events(
                _rate(metrics.ISSUANCE.name, f'result="failure", error=~"{blamed}"', window),
                _rate(metrics.ISSUANCE.name, SUCCESS, window),
            )
        case Indicator.VERIFICATION_SUCCESS:
            return Events(_verification_failures(window), _rate(metrics.VERIFICATION.name, SUCCESS, window))
        case Indicator.VERIFICATION_LATENCY:
            return _latency(metrics.VERIFICATION_DURATION.name, objective, window)
        case Indicator.ISSUANCE_LATENCY:
            return _latency(metrics.ISSUANCE_DURATION.name, objective, window)
        case Indicator.FALSE_REJECTS | Indicator.ERRORS:
            raise ValueError(f"{objective.indicator} is no indicator of running services")


def canary_fails(window: str) -> str:
    """A vector of the issuers and environments whose canary fails."""
    return f"({_rate(metrics.CANARY.name, FAILURE, window)} > 0)"


def _latency(name: str, objective: Objective, window: str) -> Events:
    quick = _rate(f"{name}_bucket", f'le="{objective.threshold}"', window)
    return Events(f"{_rate(f'{name}_count', '', window)}\n- {quick}", quick)


def _verification_failures(window: str) -> str:
    any_failure = _rate(metrics.VERIFICATION.name, FAILURE, window)
    service, ambiguous = (
        _rate(metrics.VERIFICATION.name, f'{FAILURE}, reason=~"{_either(blame)}"', window)
        for blame in (Blame.SERVICE, Blame.AMBIGUOUS)
    )
    return (
        f"({service} or {any_failure} * 0)\n"
        f"+ (({ambiguous}\n  and on ({GROUP}) {canary_fails(window)}) or {any_failure} * 0)"
    )


def _rate(name: str, matchers: str, window: str) -> str:
    selector = f"{name}{{{matchers}}}" if matchers else name
    return f"sum by ({GROUP}) (rate({selector}[{window}]))"


def _either(blame: Blame) -> str:
    return "|".join(reasons_blamed_on(blame))
