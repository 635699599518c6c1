"""Commands under Load that measure: the highest rate that holds, and what changed between two runs."""

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jwtdrill.cli.app import LOAD, app, command
from jwtdrill.cli.output import as_json, say, table
from jwtdrill.errors import BadInputError, HarnessLimitError

if TYPE_CHECKING:
    from jwtdrill.load.capacity import Capacity


@app.command(rich_help_panel=LOAD)
@command
def capacity(
    target: Annotated[str, typer.Argument(help="Target file, or `lab` for the running lab.")],
    flow: Annotated[str, typer.Option(help="call, client_credentials or jwt_bearer.")] = "call",
    users: Annotated[int, typer.Option("--users", "-u", min=1, help="Clients that the requests come from.")] = 50,
    processes: Annotated[int, typer.Option(min=1, help="Processes that send.")] = 1,
    first: Annotated[float, typer.Option("--from", min=0.1, help="Rate to begin with, requests/s.")] = 50,
    precision: Annotated[float, typer.Option(min=0.01, max=1, help="Relative width at which the search ends.")] = 0.1,
    at_least: Annotated[float, typer.Option(min=0, help="Exit code 1 when less than this rate holds.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Find the highest rate at which the objectives hold. Each step is a load run long enough to tell."""
    from jwtdrill.load.capacity import Limit, search
    from jwtdrill.load.trial import Trials
    from jwtdrill.target.load import load_target

    loaded = load_target(target)
    loaded.refuse_production("load")
    if first > loaded.limits.rate:
        raise BadInputError(
            f"--from {first:g}: {loaded.path} allows {loaded.limits.rate:g} requests/s (rate under [limits])"
        )
    with tempfile.TemporaryDirectory(prefix="jwtdrill-capacity-") as folder:
        trials = Trials(loaded, flow, Path(folder), users=users, processes=processes, say=say)
        found = search(trials.measure, first=first, most=loaded.limits.rate, precision=precision)
    found.why = found.why or trials.why_no_more
    if json:
        as_json({"flow": flow, **found.to_json()})
    else:
        _show_capacity(found, flow)
    if found.limit is Limit.HARNESS:
        return HarnessLimitError.exit_code
    return 1 if found.low is None or found.low < at_least else 0


def _show_capacity(found: "Capacity", flow: str) -> None:
    table(
        f"Capacity of {flow}",
        ("rate", "outcome", "answers", "per core and second", "why"),
        [
            (
                f"{trial.rate:,.1f}/s",
                trial.outcome,
                f"{trial.answers:,}",
                "-" if trial.per_core is None else f"{trial.per_core:,.0f}",
                ", ".join(trial.problems or trial.failed),
            )
            for trial in sorted(found.trials, key=lambda trial: trial.rate)
        ],
    )
    low = "no rate that was tried" if found.low is None else f"{found.low:,.1f} requests/s"
    high = "" if found.high is None else f"; from {found.high:,.1f} on they do not"
    per_core = "" if found.per_core is None else f"; {found.per_core:,.0f} requests for each second of a core"
    sys.stdout.write(f"The objectives hold up to {low}{high}{per_core}.\n")
    if found.why:
        say(f"The search ended at {found.limit}: {found.why}")


@app.command(rich_help_panel=LOAD)
@command
def compare(
    before: Annotated[Path, typer.Argument(help="Folder that a load run wrote with --report, or one of several such.")],
    after: Annotated[Path, typer.Argument(help="The same of what it is compared with.")],
    least: Annotated[float, typer.Option(min=0, help="Relative change below which there is none: 0.05 is 5 %.")] = 0.05,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Say what changed between two load runs beyond noise; exit code 1 when anything got worse.

    Noise is what a bootstrap over blocks of time shows. Of several runs a side, what differs between them is noise too:
    on machines that are not quiet, make three of each, in turn.
    """
    from jwtdrill.load.compare import compare as compare_runs
    from jwtdrill.load.compare import read_side

    found = compare_runs(read_side(before), read_side(after), least)
    if json:
        as_json(
            {
                "worse": found.worse,
                "invalid": list(found.invalid),
                "differences": list(found.differences),
                "changes": [change.to_json() for change in found.changes],
            }
        )
    else:
        for difference in found.differences:
            say(f"differs: {difference}")
        table(
            f"{before} → {after}",
            ("figure", "before", "after", "change", "interval", ""),
            [
                (
                    change.what,
                    f"{change.before:.4g} {change.unit}",
                    f"{change.after:.4g} {change.unit}",
                    f"{change.after / change.before - 1:+.1%}" if change.before else "-",
                    f"{change.low:+.1%} to {change.high:+.1%}",
                    change.direction,
                )
                for change in found.changes
            ],
        )
    if found.invalid:
        say(f"INVALID: in {', '.join(found.invalid)} the harness set the pace: the comparison says nothing")
        return HarnessLimitError.exit_code
    return 1 if found.worse else 0
