"""Commands under Watch: the catalogue, and what is built from it."""

from pathlib import Path
from typing import Annotated

import typer

from jwtdrill.cli.app import WATCH, app, command
from jwtdrill.cli.loading import TimeScaleOption
from jwtdrill.cli.output import as_json, fail, say, table


@app.command(rich_help_panel=WATCH)
@command
def catalog(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Print metrics, reasons, objectives, alerts and failure modes."""
    from jwtdrill.catalog.listing import listing

    content = listing()
    if json:
        as_json(content)
        return
    for title, records in content.items():
        columns = list(records[0])
        table(title, columns, [[_cell(record[name]) for name in columns] for record in records])


@app.command(rich_help_panel=WATCH)
@command
def build(
    out: Annotated[Path, typer.Option(help="Folder in which alerts/ and dashboards/ lie.")] = Path(),
    time_scale: TimeScaleOption = 1,
    objectives: Annotated[Path | None, typer.Option(help="Objectives file in place of the package's.")] = None,
    runbooks: Annotated[str | None, typer.Option(help="URL below which your runbooks are served.")] = None,
    check: Annotated[bool, typer.Option(help="Only compare; exit code 1 when a file is stale.")] = False,
) -> int:
    """Write Prometheus rules, Alertmanager routes and dashboards, ready to import."""
    from jwtdrill.catalog.objectives import objectives as read_objectives
    from jwtdrill.observe.files import build_alerts, build_dashboards, stale, write
    from jwtdrill.observe.rules import RUNBOOKS
    from jwtdrill.observe.timing import TimeScale
    from jwtdrill.processes.paths import shipped

    built = {
        out / "alerts": build_alerts(read_objectives(objectives), TimeScale(time_scale), runbooks or RUNBOOKS),
        out / "dashboards": build_dashboards(shipped("dashboards")),
    }
    if check:
        old = [path for folder, files in built.items() for path in stale(folder, files)]
        for path in old:
            fail(f"{path}: is stale: run `jwtdrill build`")
        return 1 if old else 0
    for folder, files in built.items():
        write(folder, files)
        for name in files:
            say(f"{folder / name}")
    return 0


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
