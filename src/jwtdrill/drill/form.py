"""The form of a drill's file: as much of Chaos Toolkit's as we rely on, and our actions' arguments whole.

What an action would refuse in mid-drill is refused here, before anything starts.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from jwtdrill.drill.record import Phase
from jwtdrill.errors import BadInputError
from jwtdrill.faults.lease import DEFAULT_LEASE, LONGEST_LEASE
from jwtdrill.faults.registry import make_fault
from jwtdrill.tokens.cases import parse_mix

_ACTIONS = "jwtdrill.drill.actions"
_SHORTEST_PHASE = 3  # seconds; what is seen is counted in whole ones
_LONGEST_PHASE = 7200
_KINDS = {
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dataclass_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
}


class _Foreign(BaseModel):
    """Chaos Toolkit's own: what we do not name is its business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Provider(_Foreign):
    """Who carries an activity out."""

    module: str | None = None
    func: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class Activity(_Foreign):
    """An action, a probe, or a control."""

    name: str = "unnamed"
    provider: Provider = Provider()


class Rollbacks(_Foreign):
    """When rollbacks run."""

    strategy: str = "default"


class Runtime(_Foreign):
    """How Chaos Toolkit runs it."""

    rollbacks: Rollbacks = Rollbacks()


class SteadyState(_Foreign):
    """What is looked at before the method and after it."""

    title: str = ""
    probes: tuple[Activity, ...] = ()


class ExperimentForm(_Foreign):
    """A Chaos Toolkit experiment."""

    title: str
    description: str
    controls: tuple[Activity, ...] = ()
    runtime: Runtime = Runtime()
    extensions: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    configuration: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, Any] = Field(default_factory=dict)
    steady_state: SteadyState = Field(default_factory=SteadyState, alias="steady-state-hypothesis")
    method: tuple[Activity, ...] = Field(min_length=1)
    rollbacks: tuple[Activity, ...] = ()


class _Arguments(BaseModel):
    """An action's arguments, each of its own type: a number in quotes is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class StartLoad(_Arguments):
    """Load: so many clients at so many requests/s each."""

    users: Annotated[int, Field(gt=0)] = 20
    throughput: Annotated[float, Field(gt=0)] = 10.0
    cases: str = "valid"


class _Observe(_Arguments):
    phase: Annotated[Phase, Field(strict=False)]
    seconds: Annotated[float, Field(ge=_SHORTEST_PHASE, le=_LONGEST_PHASE)]


class BeginFault(_Arguments):
    """One fault, put in force."""

    fault: str
    params: dict[str, Any] = Field(default_factory=dict)
    lease: Annotated[float, Field(gt=0, le=LONGEST_LEASE)] = DEFAULT_LEASE


class _Nothing(_Arguments):
    pass


_FORMS: Mapping[str, type[_Arguments]] = {
    "start_load": StartLoad,
    "observe": _Observe,
    "begin_fault": BeginFault,
    "end_faults": _Nothing,
    "stop_load": _Nothing,
}


def check_method(method: Sequence[Activity]) -> None:
    """Check our actions and their order. Raises BadInputError that names the activity."""
    in_force: dict[str, str] = {}
    phases: list[Phase] = []
    loads = 0
    for activity in method:
        arguments = _arguments(activity)
        try:
            match arguments:
                case StartLoad():
                    loads += 1
                    parse_mix(arguments.cases)
                case BeginFault():
                    _put_in_force(arguments, in_force)
                case _Observe():
                    phases.append(arguments.phase)
                case _ if activity.provider.func == "end_faults":
                    in_force.clear()
        except BadInputError as error:
            raise BadInputError(f"method: {activity.name}: {error}") from None
    if loads != 1:
        raise BadInputError(f"method: start_load must come once, not {loads} times")
    _check_phases(phases)


def _put_in_force(begun: BeginFault, in_force: dict[str, str]) -> None:
    place = make_fault(begun.fault, begun.params).place
    if place in in_force:
        raise BadInputError(f"{in_force[place]} is in force there still: end it first with end_faults")
    if place is not None:
        in_force[place] = begun.fault


def _check_phases(phases: Sequence[Phase]) -> None:
    for phase in Phase:
        if phases.count(phase) != 1:
            raise BadInputError(
                f"method: observe must come once with the phase {phase}, not {phases.count(phase)} times"
            )
    if phases != list(Phase):
        raise BadInputError(f"method: the phases must be in the order {', '.join(Phase)}, not {', '.join(phases)}")


def plainly(mistake: ErrorDetails) -> str:
    """A mistake of the form in words that name nothing of the code."""
    return _KINDS.get(mistake["type"], mistake["msg"].removeprefix("Value error, "))


def injected(method: Sequence[Activity]) -> list[BeginFault]:
    """The faults of a method that was checked."""
    return [one for one in map(_arguments, method) if isinstance(one, BeginFault)]


def observed(method: Sequence[Activity]) -> float:
    """Seconds of all its phases, at most."""
    return sum(one.seconds for one in map(_arguments, method) if isinstance(one, _Observe))


def load_of(method: Sequence[Activity]) -> StartLoad:
    """The load of a method that was checked."""
    return next(one for one in map(_arguments, method) if isinstance(one, StartLoad))


def _arguments(activity: Activity) -> _Arguments | None:
    """The arguments of one of our actions, None for another's."""
    provider = activity.provider
    if provider.module != _ACTIONS:
        return None
    form = _FORMS.get(provider.func or "")
    if form is None:
        raise BadInputError(
            f"method: {activity.name}: unknown action {provider.func!r}: choose from {', '.join(_FORMS)}"
        )
    try:
        return form.model_validate(provider.arguments)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in mistake["loc"])
        raise BadInputError(f"method: {activity.name}: {place}: {plainly(mistake)}") from None
