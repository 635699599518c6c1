"""The game day's report: one HTML file that works offline, with nothing fetched and no script."""

import time
from typing import Any

from jwtdrill import __version__
from jwtdrill.catalog.failure_modes import FAILURE_MODES
from jwtdrill.catalog.objectives import TIERS
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.drill.charts import phase_order, timeline_svg
from jwtdrill.drill.gameday import GameDay
from jwtdrill.drill.judge import tallies_by_phase
from jwtdrill.drill.result import DrillResult
from jwtdrill.load.page import page_environment
from jwtdrill.load.report import matrix


def render_html(day: GameDay) -> str:
    """The whole page."""
    environment = page_environment("jwtdrill.drill")
    environment.filters["seconds"] = lambda value: "–" if value is None else f"{value:.1f} s"  # noqa: RUF001
    environment.filters["percent"] = lambda value: f"{value:.2%}"
    return environment.get_template("report.html.j2").render(
        day=day,
        version=__version__,
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(day.started)),
        minutes=(day.ended - day.started) / 60,
        drills=[_drill(result) for result in day.results],
        verdicts=list(Verdict),
    )


def _drill(result: DrillResult) -> dict[str, Any]:
    mode = next(mode for mode in FAILURE_MODES if mode.id == result.expected.failure_mode)
    counts = tallies_by_phase(result.record)
    return {
        "result": result,
        "judged": result.judged,
        "mode": mode,
        "svg": timeline_svg(result.record, TIERS[0].factor(_period())) if result.record.seconds else "",
        "matrices": [(phase, matrix(counts[phase])) for phase in phase_order() if phase in counts],
    }


def _period() -> Any:
    from jwtdrill.catalog.objectives import Indicator, objectives

    return next(o.period for o in objectives() if o.indicator is Indicator.VERIFICATION_SUCCESS)
