"""Commands under Break: game days."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from jwtdrill.cli.app import BREAK, app, command
from jwtdrill.cli.loading import TimeScaleOption, check_url_of
from jwtdrill.cli.output import as_json, live, say, table
from jwtdrill.drill.experiment import Experiment, find_experiment, shipped_experiments
from jwtdrill.errors import BadInputError


@app.command(rich_help_panel=BREAK)
@command
def gameday(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT]…", help="Files, or names of those in chaos/; all of those by default."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Target file; by default a lab is raised for the game day alone.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report and raw data; gameday-DATE by default.")] = None,
    time_scale: TimeScaleOption = 60,
    without_alerts: Annotated[bool, typer.Option(help="Run without Prometheus; alerts are not judged.")] = False,
    declare: Annotated[
        bool, typer.Option(help="Tell Alertmanager which alerts the drills announce, so that these wake nobody.")
    ] = False,
    runbooks: Annotated[
        str | None, typer.Option(help="URL below which your runbooks are served, for the report's links.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before breaking what the plan names.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> int:
    """Run drills: hold load, break one thing, see who notices. Ends in a report."""
    from jwtdrill.drill.files import check_out
    from jwtdrill.drill.gameday import Plan, run_gameday
    from jwtdrill.drill.session import Watching
    from jwtdrill.drill.story import tell
    from jwtdrill.lab.control import tied_lab
    from jwtdrill.lab.lab import LabOptions, require_watch_programs
    from jwtdrill.lab.settings import DRILL
    from jwtdrill.target.load import load_target

    if runbooks is not None:
        check_url_of("--runbooks", runbooks)
    chosen = [Experiment.read(find_experiment(name)) for name in experiments or shipped_experiments()]
    folder = out or Path(time.strftime("gameday-%Y%m%d-%H%M%S"))
    check_out(folder)
    watching = Watching(alerts=not without_alerts, declare=declare)
    if declare and without_alerts:
        raise BadInputError("--declare and --without-alerts: nobody can be told where there is no Alertmanager")
    with ExitStack() as stack:
        if target is None:
            if not without_alerts:
                require_watch_programs()
            options = LabOptions(DRILL, time_scale, watch=not without_alerts)
            lab = stack.enter_context(tied_lab(options, say))
            plan = Plan(chosen, lab.target, folder, watching, lab.renew_watch, runbooks)
        else:
            loaded = load_target(target)
            loaded.refuse_production("a game day")
            _show_plan(chosen, target)
            if not yes and not (sys.stdin.isatty() and typer.confirm("Break this?", err=True)):
                raise BadInputError("not confirmed: nothing was touched; say --yes to go on without being asked")
            plan = Plan(chosen, loaded.path, folder, watching, None, runbooks)
        with live() as tick:
            day = run_gameday(plan, say, tick)
    if json:
        as_json(tell(day).to_json())
    else:
        table(
            f"Game day: {day.outcome}",
            (
                "drill",
                "verdict",
                "felt after",
                "paged after",
                "recovered after",
                "false rejects",
                "errors",
                "false accepts",
            ),
            [
                (
                    r.title,
                    r.judged.outcome,
                    _seconds(r.judged.felt_after),
                    _seconds(r.judged.detected_after),
                    _seconds(r.judged.recovered_after),
                    r.judged.false_rejects,
                    r.judged.good_errored,
                    r.judged.false_accepts,
                )
                for r in day.results
            ],
        )
    say(f"report: {folder / 'report.html'}")
    return day.outcome.exit_code


def _show_plan(experiments: list[Experiment], target: str) -> None:
    from jwtdrill.faults.registry import FAULTS

    say(f"On {target} these faults will be injected:")
    for experiment in experiments:
        for fault, params in experiment.faults():
            kind = FAULTS[fault]
            say(f"  {experiment.title}: {fault} {params or ''} hurts {kind.blast_radius}; lasts on {kind.after_effect}")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
