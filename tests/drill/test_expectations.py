"""What a drill announces beside what it names, and when it stops itself."""

import pytest
from pydantic import ValidationError

from jwtdrill.catalog.objectives import Severity
from jwtdrill.drill.expectations import Expectations, ExpectedAlert


def declared(mode: str, *alerts: str, **more: object) -> Expectations:
    expected = tuple(ExpectedAlert(name=name, severity=Severity.PAGE) for name in alerts)
    return Expectations(failure_mode=mode, alerts=expected, **{"depth": 0.5, **more})  # type: ignore[arg-type]


def test_it_announces_what_it_names_what_detects_its_failure_mode_and_symptoms_of_what_must_fire() -> None:
    """JwtRotationBroken silences the flood of unknown key ids that comes with it."""
    announced = declared("F8", "JwtRotationBroken", may=("JwtTokenReplay",)).announced
    assert {"JwtRotationBroken", "JwtTokenReplay", "JwtRotationFailed", "JwtUnknownKidFlood"} <= announced
    assert "JwtAudienceMismatch" not in announced
    assert "JwtUnknownKidFlood" not in declared("F8", may=("JwtRotationBroken",)).announced


def test_it_stops_itself_when_a_quarter_more_fails_than_it_said() -> None:
    assert declared("F10", depth=0.2).stops_at == pytest.approx(0.45)
    assert declared("F10", depth=0.9).stops_at == 1.0
    assert declared("F10", depth=0.2, most_failing=0.3).stops_at == 0.3


def test_an_alert_that_nothing_could_raise_is_refused() -> None:
    with pytest.raises(ValidationError, match="give the drill a depth above 0, or the alert a per_second"):
        declared("F10", "JwtVerificationBudgetBurn", depth=0)
