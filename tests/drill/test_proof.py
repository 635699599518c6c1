"""The proof is made of what journals say, and says what is missed, late or wrong; runbooks name their drills."""

from typing import Any

import pytest

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.drill.experiment import Experiment, find_experiment, shipped_experiments
from jwtdrill.drill.proof import proved, raised_by, rows, to_markdown, with_drills
from jwtdrill.load.verdict import Outcome
from jwtdrill.processes.paths import shipped

OUTAGE = Experiment.read(find_experiment("jwks_outage"))
SHIPPED = [Experiment.read(find_experiment(name)) for name in shipped_experiments()]


def run(page: float | None = 13.0, outcome: str = "held", **more: Any) -> dict[str, Any]:
    def detection(name: str, severity: str, after: float | None) -> dict[str, Any]:
        return {"name": name, "severity": severity, "after": after, "least": 10.0, "late": 15.0}

    return {
        "outcome": outcome,
        "detections": [
            detection("JwtJwksFetchFailing", "ticket", 5.1),
            detection("JwtVerificationBudgetBurn", "page", page),
        ],
        "recovered_after": 1.5,
        "false_accepts": 0,
        "findings": [{"what": "A", "met": True, "detail": ""}, {"what": "B", "met": outcome == "held", "detail": "b"}],
        **more,
    }


@pytest.mark.parametrize(("page", "verdict"), [(15.0, "in time"), (15.1, "late"), (None, "missed")])
def test_an_alert_is_in_time_late_or_missed(page: float | None, verdict: str) -> None:
    assert [alert.verdict for alert in proved(OUTAGE, [run(page)]).alerts] == ["in time", verdict]


def test_of_several_runs_the_worst_counts_and_the_spread_is_told() -> None:
    proof = proved(OUTAGE, [run(12.0), run(14.5, "violated", recovered_after=4.0, false_accepts=2)])
    assert proof.outcome is Outcome.VIOLATED
    assert proof.wrong == ("B: b",)
    mode, drill, alert, least, measured, late, verdict, recovered, let_in, outcome = rows([proof])[1]
    assert (mode, drill, alert) == ("F10", "jwks_outage", "JwtVerificationBudgetBurn (page)")
    assert (least, measured, late, verdict) == ("10.0", "12.0 to 14.5", "15.0", "in time")
    assert (recovered, let_in, outcome) == ("1.5 to 4.0", "2", "violated")
    assert rows([proved(OUTAGE, [run(None), run(13.0)])])[1][4] == "13.0, or never"


def test_the_page_names_every_drill_every_source_and_every_alert() -> None:
    page = to_markdown([proved(one, [run()]) for one in SHIPPED], 60)
    for one in SHIPPED:
        assert f"| {one.name} |" in page
        assert all(f"<{url}>" in page for url in one.expected.sources)
    raised = raised_by(SHIPPED)
    assert set(raised) == set(ALERT_NAMES)
    for alert, drills in raised.items():
        assert bool(drills) != (f"\n- {alert}\n" in page)


def test_the_committed_page_is_of_these_drills_and_their_alerts_and_nothing_in_it_is_wrong() -> None:
    lines = (shipped("runbooks").parent / "proof.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| F")]
    wanted = {
        (one.expected.failure_mode, one.name, f"{alert.name} ({alert.severity})")
        for one in SHIPPED
        for alert in one.expected.alerts
    } | {(one.expected.failure_mode, one.name, "nothing may fire") for one in SHIPPED if not one.expected.alerts}
    assert {tuple(row[:3]) for row in cells} == wanted
    assert {row[6] for row in cells} <= {"in time", ""}
    assert {row[9] for row in cells} == {"held"}


@pytest.mark.parametrize("alert", ALERT_NAMES)
def test_every_runbook_says_how_its_drills_are_run(alert: str) -> None:
    text = (shipped("runbooks") / f"{alert}.md").read_text()
    raising = raised_by(SHIPPED)[alert]
    assert with_drills(text, alert, raising) == text
    for one in raising:
        assert f"`jwtdrill gameday {one.name}`" in text


def test_drills_are_written_into_a_runbook_once_and_what_stands_there_stays() -> None:
    page = "# X\n\n## Drill\n\nBy hand: pull the plug.\n"
    once = with_drills(page, "X", [OUTAGE])
    assert once.endswith(
        "- `jwtdrill gameday jwks_outage`: JWKS outage (F10)\n<!-- until here -->\n\nBy hand: pull the plug.\n"
    )
    assert with_drills(once, "X", [OUTAGE]) == once
    assert "No drill raises X" in with_drills(once, "X", [])
