"""A game day: drills in sequence, each on a watch without memory, and one folder with journal and report."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jwtdrill.catalog.objectives import objectives
from jwtdrill.drill.experiment import Experiment
from jwtdrill.drill.files import check_out, write
from jwtdrill.drill.plan import check_allowed
from jwtdrill.drill.result import DrillResult, GameDay
from jwtdrill.drill.session import Watching
from jwtdrill.drill.watcher import BETWEEN_DRILLS, AlertWatcher, alertmanager_of
from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.claim import CLAIM
from jwtdrill.faults.client import FaultClient
from jwtdrill.target.discovery import discover, require_keys
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

Say = Callable[[str], None]
_QUIET_SECONDS = 600.0  # tickets of slow tiers take minutes to go, at sixty times the speed
_SAY_AGAIN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. stage: called before each drill, for the target file to run it on.

    fresh: whether a stage has nothing of the drill before in its long windows. runbooks: URL below which their pages
    are served, if it is known.
    """

    experiments: Sequence[Experiment]
    stage: Callable[[Experiment], Path]
    fresh: bool
    out: Path
    watching: Watching
    runbooks: str | None = None


def run_gameday(plan: Plan, say: Say, tick: Say = lambda _: None) -> GameDay:
    """Run the drills and write the folder with its report. Raises JwtdrillError when a drill cannot begin."""
    check_out(plan.out)
    target = load_target(str(plan.stage(plan.experiments[0])))
    if not plan.fresh:
        check_target(target, plan.experiments, plan.watching)
    started = time.time()
    results: list[DrillResult] = []

    def day_so_far() -> GameDay:
        return GameDay(
            started,
            time.time(),
            target.environment,
            target.issuer.url,
            tuple(results),
            plan.fresh,
            target.watch.time_scale,
            objectives(target.objectives_path),
            plan.runbooks,
        )

    try:
        for number, experiment in enumerate(plan.experiments, 1):
            say(f"[{number}/{len(plan.experiments)}] {experiment.title} ({experiment.expected.failure_mode})")
            if number > 1:
                target = load_target(str(plan.stage(experiment)))
            if plan.fresh:  # the later ones too that this lab is for: what is wrong is said before anything breaks
                parts = experiment.expected.parts
                alike = [one for one in plan.experiments[number - 1 :] if one.expected.parts == parts]
                check_target(target, alike, plan.watching)
            elif plan.watching.alerts:
                await_quiet(target, say)
            results.append(run_drill(experiment, str(target.path), plan.watching, say, tick))
    except (JwtdrillError, KeyboardInterrupt):
        if results:  # what was learnt before is not lost
            write(plan.out, day_so_far())
            say(f"the drills that had ended are in {plan.out}")
        raise
    day = day_so_far()
    write(plan.out, day)
    return day


def run_drill(experiment: Experiment, target: str, watching: Watching, say: Say, tick: Say) -> DrillResult:
    """Run one drill through Chaos Toolkit in this process. Raises JwtdrillError when it gave no verdict."""
    from chaoslib.exceptions import ChaosException
    from chaoslib.experiment import ensure_experiment_is_valid, run_experiment
    from chaoslib.types import Strategy

    from jwtdrill.drill.control import control

    _hush("chaostoolkit")
    content = dict(experiment.content)
    try:
        ensure_experiment_is_valid(content)
    except ChaosException as error:
        raise BadInputError(f"{experiment.name}: {error}") from None
    control.say, control.tick, control.given, control.watching = say, tick, experiment, watching
    journal = run_experiment(
        content,
        settings={"runtime": {"rollbacks": {"strategy": "always"}}},
        experiment_vars=({"target": target}, {}),
        strategy=Strategy.DEFAULT,
    )
    if control.result is None:
        raise JwtdrillError(f"{experiment.name}: the drill gave no verdict (Chaos Toolkit: {journal['status']})")
    if journal["status"] == "interrupted" and not control.failed:  # by a signal, for no activity had failed
        raise KeyboardInterrupt
    return control.result


def check_target(target: Target, experiments: Sequence[Experiment], watching: Watching) -> None:
    """See before anything starts that the target is there and may be broken so. Raises JwtdrillError."""
    check_allowed(target, experiments)
    require_keys(target, discover(target))
    client = FaultClient.of(target)
    try:
        taken, stopped = client.leases(), client.stopped()
        for experiment in experiments:
            try:
                experiment.demands(target)
                for begun in experiment.faults():
                    client.check(begun.fault, begun.params)
            except BadInputError as error:
                raise BadInputError(f"{experiment.name}: {error}") from None
    finally:
        client.close()
    if stopped:
        raise BadInputError(f"{target.path}: stopped by {stopped}: allow faults again with `jwtdrill resume`")
    if taken:
        by = taken[0]["params"].get("by") if taken[0]["fault"] == CLAIM else taken[0]["fault"]
        raise BadInputError(f"{target.path}: another drill is under way, or has just ended: {by}")
    if watching.alerts or watching.declare:
        AlertWatcher(alertmanager_of(target)).stop()


def await_quiet(target: Target, say: Say, limit: float = _QUIET_SECONDS) -> None:
    """Wait until nothing fires, so that the control period starts clean. Raises BadInputError after `limit` seconds."""
    watcher = AlertWatcher(alertmanager_of(target))
    deadline = time.monotonic() + limit
    try:
        tell_at = time.monotonic()
        while names := sorted(
            {f"{span.severity} {span.name}" for span in watcher.active() if span.name not in BETWEEN_DRILLS}
        ):
            if time.monotonic() > deadline:
                raise BadInputError(f"{', '.join(names)} still fires after {limit:g} s: a drill needs a quiet start")
            if time.monotonic() >= tell_at:
                tell_at = time.monotonic() + _SAY_AGAIN_SECONDS
                say(f"waiting until nothing fires, {limit - (deadline - time.monotonic()):.0f} s: {', '.join(names)}")
            time.sleep(1)
    finally:
        watcher.stop()


def _hush(logger: str) -> None:
    """Chaos Toolkit's own log says again, and less clearly, what the drill says."""
    log = logging.getLogger(logger)
    log.propagate = False
    log.handlers[:] = [logging.NullHandler()]
    log.setLevel(logging.CRITICAL + 1)
