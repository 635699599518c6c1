"""A load run's report: one HTML file that works offline, with nothing fetched and no script."""

import time
from collections.abc import Mapping
from typing import Any

import jinja2

from jwtdrill import __version__
from jwtdrill.catalog.verdicts import Verdict
from jwtdrill.load.charts import SHADES, run_svg, shade_css
from jwtdrill.load.report import matrix
from jwtdrill.load.result import Result


def page_environment(package: str, shades: Mapping[str, str]) -> jinja2.Environment:
    """Templates of that package, which may extend the page that all reports share. shades: of its plots in the dark."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("jwtdrill.load")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["dark_plots"] = shade_css(shades)
    return environment


def render_html(result: Result, content: Mapping[str, Any]) -> str:
    """The whole page. content: the result as plain data."""
    return (
        page_environment("jwtdrill.load", SHADES)
        .get_template("run.html.j2")
        .render(
            result=result,
            content=content,
            version=__version__,
            date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(result.run.started)),
            seconds=result.ended - result.run.started,
            matrix=matrix(result.board.counts),
            verdicts=list(Verdict),
            svg=run_svg(result),
        )
    )
