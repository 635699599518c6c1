"""What a game day is about to do, in words, before anything is touched; and who has agreed to it."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence

from jwtdrill.drill.experiment import Experiment
from jwtdrill.errors import BadInputError
from jwtdrill.faults.registry import make_fault
from jwtdrill.target.model import Environment, Target

YES = "JWTDRILL_YES"  # set, a plain `chaos run` asks nobody
_NOT_CONFIRMED = "not confirmed: nothing was touched; say --yes to go on without being asked"


def check_allowed(target: Target, experiments: Sequence[Experiment]) -> None:
    """Refuse production, and what the target file does not list as breakable. Raises BadInputError."""
    target.refuse_production("a drill")
    for experiment in experiments:
        for begun in experiment.faults():
            if not target.break_.allows(begun.fault):
                raise BadInputError(
                    f"{target.path}: fault {begun.fault} is not among what [break] allows: add it to faults"
                )


def plan(target: Target, experiments: Sequence[Experiment]) -> list[str]:
    """What, where, how long, how it ends, and what lasts on. Raises BadInputError for what has no bound to that."""
    agent = target.break_.proxy or "an agent of this process's own"
    lines = [f"On {target.path} ({target.environment}, issuer {target.issuer.url}), by the fault agent at {agent}:"]
    for experiment in experiments:
        lines.append(f"  {experiment.title} ({experiment.expected.failure_mode}), at most {experiment.seconds:.0f} s")
        for begun in experiment.faults():
            kind = make_fault(begun.fault, begun.params)
            bound = kind.after_effect.bound(target.times)
            params = " ".join(f"{name}={value}" for name, value in begun.params.items())
            lines += [
                f"    {' '.join(filter(None, (begun.fault, params)))}: hurts {kind.blast_radius}",
                f"      ends with the drill, or {begun.lease:g} s after this process is gone, or by `jwtdrill stop`",
                f"      lasts on {kind.after_effect.words}, {bound:g} s at most",
            ]
    return lines


def consent(
    target: Target, experiments: Sequence[Experiment], say: Callable[[str], None], *, yes: bool | None = None
) -> None:
    """Show the plan, and have somebody agree; a lab may be broken unasked. Raises BadInputError when nobody does.

    yes: that somebody has agreed already; None: as the environment says.
    """
    for line in plan(target, experiments):
        say(line)
    if yes is None:
        yes = bool(os.environ.get(YES))
    if yes or target.environment is Environment.LAB:
        return
    if not sys.stdin.isatty():
        raise BadInputError(f"{_NOT_CONFIRMED}, or set {YES}=1 for chaos run")
    sys.stderr.write("Break this? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInputError(_NOT_CONFIRMED)


def fingerprint(target: Target) -> str:
    """Of the target file as it stands: what was agreed to is what is broken. Raises BadInputError when it is gone."""
    try:
        return hashlib.sha256(target.path.read_bytes()).hexdigest()
    except OSError as error:
        raise BadInputError(f"{target.path}: cannot be read any more: {error.strerror}") from None
