"""The game day's page: one HTML file that works offline and printed, with nothing fetched and no script."""

import time
from datetime import timedelta
from typing import Any

from jwtdrill import __version__
from jwtdrill.catalog.objectives import TIERS, Indicator
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.drill import words
from jwtdrill.drill.charts import DRILL_SHADES, timeline_svg
from jwtdrill.drill.files import JOURNAL, TICKET, seconds_file
from jwtdrill.drill.judge import tallies_by_phase
from jwtdrill.drill.record import Phase
from jwtdrill.drill.result import GameDay
from jwtdrill.drill.story import DrillStory, Story
from jwtdrill.load.page import page_environment
from jwtdrill.load.report import matrix


def render_html(story: Story) -> str:
    """The whole page."""
    environment = page_environment("jwtdrill.drill", DRILL_SHADES)
    environment.filters |= {
        "seconds": words.seconds,
        "number": words.number,
        "share": words.share,
        "counted": words.counted,
        "listed": words.listed,
        "clock": lambda unix: time.strftime("%H:%M:%S", time.gmtime(unix)),
    }
    day = story.day
    factor = _fastest(day)
    return environment.get_template("report.html.j2").render(
        story=story,
        day=day,
        version=__version__,
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(day.started)),
        minutes=(day.ended - day.started) / 60,
        drills=[_parts(drill, factor) for drill in story.drills],
        verdicts=list(Verdict),
        factor=factor,
        raw=[(JOURNAL, "everything, with what was derived"), (TICKET, "this report for a ticket")]
        + [(seconds_file(d.slug), f"“{d.result.title}” second by second") for d in story.drills],
    )


def _parts(drill: DrillStory, factor: float) -> dict[str, Any]:
    record = drill.result.record
    counts = tallies_by_phase(record)
    return {
        "told": drill,
        "judged": drill.result.judged,
        "record": record,
        "svg": timeline_svg(record, factor) if record.seconds and record.phases else "",
        "matrices": [(phase, matrix(counts[phase])) for phase in Phase if phase in counts],
    }


def _fastest(day: GameDay) -> float:
    """The burn rate at which the fastest tier pages."""
    found = (o.period for o in day.objectives if o.indicator is Indicator.VERIFICATION_SUCCESS)
    return TIERS[0].factor(next(found, timedelta(days=30)))
