"""Commands under Watch: the catalogue, and what is built from it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jwtdrill.cli.app import WATCH, app, command
from jwtdrill.cli.loading import TimeScaleOption, check_url_of
from jwtdrill.cli.output import as_json, fail, say, table
from jwtdrill.observe.routes import Receivers
from jwtdrill.observe.rules import RUNBOOKS

ObjectivesOption = Annotated[Path | None, typer.Option(help="Objectives file in place of the package's.")]


@app.command(rich_help_panel=WATCH)
@command
def catalog(
    objectives: ObjectivesOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="As the page docs/catalog.md.")] = False,
) -> None:
    """Print metrics, reasons, objectives, alerts and failure modes."""
    from jwtdrill.catalog.listing import cell, listing, to_markdown
    from jwtdrill.catalog.objectives import objectives as read_objectives

    content = listing(read_objectives(objectives))
    if json:
        as_json(content)
    elif markdown:
        sys.stdout.write(to_markdown(content))
    else:
        for title, records in content.items():
            columns = list(records[0])
            table(title, columns, [[cell(record[name]) for name in columns] for record in records])


@app.command(rich_help_panel=WATCH)
@command
def build(
    out: Annotated[Path, typer.Option(help="Folder in which alerts/ and dashboards/ lie.")] = Path(),
    time_scale: TimeScaleOption = 1,
    objectives: ObjectivesOption = None,
    runbooks: Annotated[str, typer.Option(help="URL below which your runbooks are served.")] = RUNBOOKS,
    pages: Annotated[
        Path | None,
        typer.Option(help="Folder of those runbooks, to see that none is missing; the package's by default."),
    ] = None,
    receivers: Annotated[
        str, typer.Option(help="URL below which ROUTE-SEVERITY takes notifications, such as security-page.")
    ] = Receivers.url,
    secrets: Annotated[
        str, typer.Option(help="Folder in which Alertmanager finds a file ROUTE-SEVERITY with each receiver's token.")
    ] = Receivers.secrets,
    check: Annotated[bool, typer.Option(help="Only compare; exit code 1 when a file is stale.")] = False,
) -> int:
    """Write Prometheus rules, the same for the operator, Alertmanager's configuration and dashboards, ready to import.

    Either all files are written or none.
    """
    from jwtdrill.catalog.objectives import objectives as read_objectives
    from jwtdrill.observe.files import build_alerts, build_dashboards, check_pages, stale, write
    from jwtdrill.observe.timing import TimeScale
    from jwtdrill.processes.paths import shipped

    for option, url in (("--runbooks", runbooks), ("--receivers", receivers)):
        check_url_of(option, url)
    given = read_objectives(objectives)
    check_pages(pages or shipped("runbooks"), given)
    taken_by = Receivers(receivers.rstrip("/"), secrets.rstrip("/"))
    built = {
        out / "alerts": build_alerts(given, TimeScale(time_scale), runbooks.rstrip("/"), taken_by),
        out / "dashboards": build_dashboards(shipped("dashboards")),
    }
    if check:
        old = [path for folder, files in built.items() for path in stale(folder, files)]
        for path in old:
            fail(f"{path}: is stale: run `jwtdrill build`")
        return 1 if old else 0
    write(built)
    for folder, files in built.items():
        for name in files:
            say(f"{folder / name}")
    return 0
