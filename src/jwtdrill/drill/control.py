"""The Chaos Toolkit control that makes an experiment a drill: opens the session, closes it, gives the verdict.

Chaos Toolkit swallows what a control raises, so every hook notes its failure in the session and in the journal, and
a journal without our verdict counts as failed.
"""

import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from chaoslib.exceptions import InterruptExecution

from jwtdrill.drill.experiment import DECLARE, WITHOUT_ALERTS, Experiment
from jwtdrill.drill.grafana import annotator
from jwtdrill.drill.judge import Judged
from jwtdrill.drill.plan import check_allowed, consent
from jwtdrill.drill.result import DrillResult
from jwtdrill.drill.session import Session, Telling, Watching, current, set_current, under_way
from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.load.verdict import Outcome
from jwtdrill.target.load import load_target

RESULT = "jwtdrill"
_GRACEFUL = 20  # the status by which Chaos Toolkit still runs its rollbacks
_CLASSES = re.compile(r"^(?:[A-Za-z_]+(?:\.[A-Za-z_]+)+: )+")
_log = logging.getLogger("jwtdrill.drill")


def _say_plainly(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - progress of a plain `chaos run`


@dataclass(slots=True)
class _Control:
    """What outlives a hook. `closing`: the method is over; `failed`: an activity was.

    say, tick: who is told of what happens; given: the experiment as read from its file; watching: how alerts
    are watched. A game day sets them; a plain `chaos run` knows the experiment's content and the environment alone.
    """

    say: Callable[[str], None] = _say_plainly
    tick: Callable[[str], None] = lambda _: None
    given: Experiment | None = None
    watching: Watching = field(
        default_factory=lambda: Watching(not os.environ.get(WITHOUT_ALERTS), bool(os.environ.get(DECLARE)))
    )
    experiment: Experiment | None = None
    closing: bool = False
    failed: bool = False
    result: DrillResult | None = None


control = _Control()


def before_experiment_control(context: dict[str, Any], target: str = "lab", **_: Any) -> None:
    """Open the session. What cannot be opened interrupts the run with one line."""
    control.closing, control.failed, control.result = False, False, None
    set_current(None)
    signal.signal(signal.SIGTERM, _terminated)  # Chaos Toolkit restores the caller's handler at the end
    try:
        if not isinstance(target, str):
            raise BadInputError("controls: target must be the name of a target file, or lab")
        control.experiment = control.given or Experiment.parse(context)
        loaded = load_target(target)
        if control.given is None:  # a game day has asked before
            check_allowed(loaded, [control.experiment])
            consent(loaded, [control.experiment], control.say)
        telling = Telling(control.say, control.tick, annotator(loaded, control.experiment.name, control.say))
        session = Session(loaded, control.experiment, control.watching, telling)
    except Exception as error:  # noqa: BLE001 - what is swallowed here would let the run go on unjudged
        message = str(error) if isinstance(error, JwtdrillError) else f"{type(error).__name__}: {error}"
        control.say(f"jwtdrill: {message}")
        raise InterruptExecution(message) from None
    set_current(session)


def after_activity_control(context: dict[str, Any], state: dict[str, Any] | None = None, **_: Any) -> None:
    """An activity that failed ends the method: a drill with a piece missing says nothing.

    After the method nothing is cut short, and a steady state that did not come back is a finding about the target.
    """
    if not isinstance(state, dict) or state.get("status") != "failed" or not under_way():
        return
    message = f"{context.get('name')}: {_reason(state)}"
    if current().record.stopped:
        control.failed = True
        raise InterruptExecution(current().record.stopped)
    if control.closing:
        current().record.unsteady = current().record.unsteady or message
        return
    control.failed = True
    current().fail(message)
    raise InterruptExecution(message)


def after_method_control(context: dict[str, Any], **_: Any) -> None:  # noqa: ARG001
    """What comes now is the closing look at the steady state, and the rollbacks."""
    control.closing = True


def after_experiment_control(context: dict[str, Any], state: dict[str, Any], **_: Any) -> None:  # noqa: ARG001
    """Close the session, and write the verdict into the journal, by which `chaos run` sets its exit code."""
    if not under_way():
        return  # it could not even be opened, which was said, and has interrupted the run
    try:
        session = current()
        if state["status"] != "completed" and not session.record.unsteady and not session.record.stopped:
            session.fail(f"the experiment was {state['status']}")
        assert control.experiment is not None
        judged = session.close()
        set_current(None)
        experiment = control.experiment
        control.result = DrillResult(
            experiment.name,
            experiment.title,
            experiment.description,
            experiment.expected,
            session.demands,
            session.record,
            judged,
        )
        state[RESULT] = control.result.to_json()
        control.say(_verdict_line(judged))
        if judged.outcome is Outcome.VIOLATED:
            state["deviated"] = True
        elif judged.outcome is Outcome.INVALID and state["status"] == "completed":
            state["status"] = "failed"
    except Exception:
        state["status"] = "failed"
        _log.exception("the drill could not be judged")
        raise


def armed() -> bool:
    """A probe that stands first in the steady state: raises when this control was not loaded."""
    return current() is not None


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(_GRACEFUL)


def _reason(state: dict[str, Any]) -> str:
    """The last line of its traceback, without the names of the classes that stand before our message."""
    lines = [line.strip() for line in state.get("exception") or [] if line.strip()]
    return _CLASSES.sub("", lines[-1]) if lines else "failed"


def _verdict_line(judged: Judged) -> str:
    failed = [f"{finding.what}: {finding.detail}" for finding in judged.findings if finding.met is False]
    return f"{judged.outcome.upper()}{': ' if failed else ''}{'; '.join(failed)}"
