"""Commands under Break: game days, the fault proxy, wrong clocks, and the way to end everything at once."""

import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.cli.app import BREAK, app, command
from jwtdrill.cli.loading import TimeScaleOption, check_url_of
from jwtdrill.cli.output import as_json, live, say, table
from jwtdrill.drill.experiment import Experiment, find_experiment, shipped_experiments
from jwtdrill.drill.proof import Proved
from jwtdrill.errors import BadInputError
from jwtdrill.faults.timechaos import PodMode
from jwtdrill.load.verdict import Outcome
from jwtdrill.processes.paths import shipped


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
    delete_alert: Annotated[
        list[str] | None,
        typer.Option(help="Leave this alert out of the lab's rules, to see that its drill fails without it."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before breaking what the plan names.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> int:
    """Run drills: hold load, break one thing, see who notices. Ends in a report."""
    from jwtdrill.drill.files import check_out
    from jwtdrill.drill.gameday import Plan, run_gameday
    from jwtdrill.drill.plan import check_allowed, consent
    from jwtdrill.drill.session import Watching
    from jwtdrill.drill.story import tell
    from jwtdrill.lab.control import LabInTurn
    from jwtdrill.lab.lab import LabOptions, require_watch_programs
    from jwtdrill.lab.parts import read_parts
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
    if delete_alert and target is not None:
        raise BadInputError("--delete-alert and --target: only rules of a lab can be left out")
    with ExitStack() as stack:
        if target is None:
            if not without_alerts:
                require_watch_programs()
            for experiment in chosen:
                read_parts(experiment.expected.parts)
            options = LabOptions(
                DRILL, time_scale, watch=not without_alerts, without_alerts=_known_alerts(delete_alert or [])
            )
            labs = stack.enter_context(LabInTurn(options, say))
            plan = Plan(
                chosen, lambda one: labs.with_parts(read_parts(one.expected.parts)), True, folder, watching, runbooks
            )
        else:
            loaded = load_target(target)
            check_allowed(loaded, chosen)
            consent(loaded, chosen, say, yes=yes)
            plan = Plan(chosen, lambda _: loaded.path, False, folder, watching, runbooks)
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


@app.command(rich_help_panel=BREAK)
@command
def prove(
    drills: Annotated[
        list[str] | None, typer.Argument(metavar="[DRILL]…", help="Names of those in chaos/; all of those by default.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=16, help="Drills that run side by side, each on its own lab.")] = 2,
    runs: Annotated[int, typer.Option(min=1, max=20, help="How often each is run.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for reports and raw data; proof-DATE by default.")] = None,
    time_scale: TimeScaleOption = 60,
    once_more: Annotated[
        bool, typer.Option(help="Run a drill that was violated once more, alone; those that say nothing always are.")
    ] = False,
    write: Annotated[bool, typer.Option(help="Write docs/proof.md, and the drills into the runbooks.")] = False,
    delete_alert: Annotated[
        list[str] | None,
        typer.Option(help="Leave this alert out of the rules, to see that the proof fails without it."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> int:
    """Run every drill against every alert: which fired, after how long, and what theory allows at the least."""
    from jwtdrill.drill.files import check_out
    from jwtdrill.drill.proof import COLUMNS, rows
    from jwtdrill.drill.proving import Order
    from jwtdrill.drill.proving import prove as run
    from jwtdrill.lab.lab import require_watch_programs

    require_watch_programs()
    names = drills or shipped_experiments()
    if write and drills:
        raise BadInputError("--write and names: the page is written from all drills: leave the names out")
    folder = out or Path(time.strftime("proof-%Y%m%d-%H%M%S"))
    check_out(folder)
    files = [(Experiment.read(find_experiment(name)), name) for name in names]
    more = [
        "--time-scale",
        str(time_scale),
        *(word for name in delete_alert or () for word in ("--delete-alert", name)),
    ]
    again = (Outcome.INVALID, *([Outcome.VIOLATED] if once_more else []))
    proofs = run(files, Order(folder, jobs, runs, more, again), say)
    found = rows(proofs)
    if json:
        as_json([dict(zip(COLUMNS, row, strict=True)) for row in found])
    else:
        table("Proof", COLUMNS, found)
    for proof in proofs:
        for wrong in proof.wrong:
            say(f"{proof.experiment.name}: {wrong}")
    if write:
        _write_proof(proofs, time_scale)
    return Outcome.of_all(proof.outcome for proof in proofs).exit_code


def _write_proof(proofs: Sequence[Proved], time_scale: float) -> None:
    from jwtdrill.drill.proof import raised_by, to_markdown, with_drills

    pages = shipped("runbooks")
    (pages.parent / "proof.md").write_text(to_markdown(proofs, time_scale), encoding="utf-8")
    for alert, raising in raised_by([proof.experiment for proof in proofs]).items():
        page = pages / f"{alert}.md"
        page.write_text(with_drills(page.read_text(encoding="utf-8"), alert, raising), encoding="utf-8")
    say(f"written: {pages.parent / 'proof.md'}, and the drills into the runbooks")


@app.command(rich_help_panel=BREAK)
@command
def stop(target: Annotated[str, typer.Argument(help="Target file; the running lab by default.")] = "lab") -> None:
    """End every fault at a target now, and let none begin until `jwtdrill resume`."""
    from jwtdrill.drill.holding import stop_all
    from jwtdrill.target.load import load_target

    ended = stop_all(load_target(target))
    say(f"stopped: {', '.join(ended) or 'nothing was in force'}; no fault begins before `jwtdrill resume {target}`")


@app.command(rich_help_panel=BREAK)
@command
def resume(target: Annotated[str, typer.Argument(help="Target file; the running lab by default.")] = "lab") -> None:
    """Let faults begin again at a target where they were stopped."""
    from jwtdrill.drill.holding import resume_all
    from jwtdrill.target.load import load_target

    resume_all(load_target(target))
    say("resumed: faults may begin again")


@app.command(rich_help_panel=BREAK)
@command
def proxy(
    upstream: Annotated[str, typer.Option(help="URL of your issuer.")],
    listen: Annotated[str, typer.Option(help="Address and port for verifiers.")] = "127.0.0.1:18473",
    cert: Annotated[Path | None, typer.Option(help="PEM file of certificate and key: with it https is spoken.")] = None,
    authority: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority that issued it, with its key, to issue one that has expired."),
    ] = None,
    public: Annotated[str, typer.Option(help="URL by which verifiers know the proxy, if not by its address.")] = "",
    ca: Annotated[Path | None, typer.Option(help="CA that vouches for your issuer, if the system's do not.")] = None,
    route: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH of an endpoint that the metadata does not name.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option(help="Target file, for faults that are traffic: misuse.* and clock.skewed_claims.")
    ] = None,
    control: Annotated[str, typer.Option(help="Address and port for drills.")] = "127.0.0.1:18474",
    control_token: Annotated[
        Path, typer.Option(help="File with what drills must show; made if it is not there.")
    ] = Path("jwtdrill-proxy.token"),
) -> None:
    """Stand between verifiers and an issuer, pass everything through, and break it when a drill says so."""
    from jwtdrill.faults.standing import Address, ProxyOptions, stand
    from jwtdrill.target.model import check_url

    for name, url in (("--upstream", upstream), ("--public", public)):
        try:
            if url:
                check_url(url)
        except ValueError as error:
            raise BadInputError(f"{name} {error}") from None
    options = ProxyOptions(
        upstream=upstream.rstrip("/"),
        listen=Address.parse(listen, "--listen"),
        control=Address.parse(control, "--control"),
        token_file=control_token,
        certificate=cert,
        authority=authority,
        public=public,
        ca=ca,
        routes=_routes(route or []),
        target_file=target,
    )
    stand(options, say)


def _known_alerts(names: list[str]) -> tuple[str, ...]:
    for name in names:
        if name not in ALERT_NAMES:
            raise BadInputError(f"--delete-alert {name!r}: unknown: choose from {', '.join(ALERT_NAMES)}")
    return tuple(names)


def _routes(given: list[str]) -> dict[str, str]:
    from jwtdrill.faults.registry import find_fault

    found = {}
    for one in given:
        name, separator, path = one.partition("=")
        if not separator or not re.fullmatch(r"[a-z][a-z0-9-]*", name) or not path.startswith("/"):
            raise BadInputError(f"--route {one!r}: give a name and a path, such as userinfo=/oauth2/userinfo")
        try:
            find_fault(f"{name}.status")
        except BadInputError:
            raise BadInputError(f"--route {one!r}: {name} is what other faults begin with: give another name") from None
        found[name] = path
    return found


@app.command(rich_help_panel=BREAK)
@command
def timechaos(
    offset: Annotated[str, typer.Option(help="By how much the clock is wrong, such as -30s.")],
    duration: Annotated[str, typer.Option(help="How long, such as 90s: then Chaos Mesh sets it right. 1h at most.")],
    namespace: Annotated[str, typer.Option(help="Of the pods.")],
    label: Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Of the pods; may be repeated.")],
    mode: Annotated[PodMode, typer.Option(help="One of these pods, or all of them.")] = PodMode.ONE,
    container: Annotated[
        list[str] | None, typer.Option(help="Only this container of the pod; may be repeated.")
    ] = None,
) -> None:
    """Print a TimeChaos object for Chaos Mesh: a wrong clock of a verifier or issuer on Kubernetes, for a while."""
    from jwtdrill.faults.timechaos import TimeChaos

    labels: dict[str, str] = {}
    for text in label:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInputError(f"--label {text}: write KEY=VALUE")
        labels[key] = value
    sys.stdout.write(TimeChaos(offset, duration, namespace, labels, mode, tuple(container or ())).to_yaml())


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
