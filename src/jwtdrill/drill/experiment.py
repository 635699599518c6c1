"""A drill's file: read, and checked whole before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from jwtdrill.drill.expectations import Expectations
from jwtdrill.drill.record import Phase
from jwtdrill.errors import BadInputError
from jwtdrill.faults.lease import LONGEST_LEASE
from jwtdrill.faults.registry import make_fault
from jwtdrill.processes.paths import shipped
from jwtdrill.tokens.cases import parse_mix

NAME = "jwtdrill"
WITHOUT_ALERTS = "JWTDRILL_WITHOUT_ALERTS"  # set, a plain `chaos run` neither watches nor judges alerts
_ACTIONS = "jwtdrill.drill.actions"
_CONTROL = "jwtdrill.drill.control"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A Chaos Toolkit experiment that is a drill. `name`: of its file; `content`: as Chaos Toolkit takes it."""

    name: str
    title: str
    description: str
    content: Mapping[str, Any]
    expected: Expectations

    @classmethod
    def read(cls, path: Path) -> "Experiment":
        """Read and check the file. Raises BadInputError: what, where, how to mend."""
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
            raise BadInputError(f"{where}: not YAML: {getattr(error, 'problem', error)}") from None
        try:
            return cls.parse(content, path.stem)
        except BadInputError as error:
            raise BadInputError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, content: Any, name: str = "") -> "Experiment":
        """Check an experiment. Raises BadInputError."""
        if not isinstance(content, Mapping) or not isinstance(content.get("method"), list):
            raise BadInputError("not an experiment: it needs title, description and method")
        controls = content.get("controls", ())
        if not any(_module(control) == _CONTROL for control in controls):
            raise BadInputError(f"no control with the module {_CONTROL}: without it nothing is judged")
        strategy = content.get("runtime", {}).get("rollbacks", {}).get("strategy")
        if strategy != "always":
            raise BadInputError("runtime.rollbacks.strategy must be always, so that an interruption ends the fault too")
        declared = next((e for e in content.get("extensions", ()) if e.get("name") == NAME), None)
        if declared is None:
            raise BadInputError(f"no extension called {NAME}: it says what must follow from the fault")
        try:
            expected = Expectations.model_validate({k: v for k, v in declared.items() if k != "name"})
        except ValidationError as error:
            mistake = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in mistake["loc"])
            message = mistake["msg"].removeprefix("Value error, ")
            raise BadInputError(f"extensions.{NAME}.{where}: {message}") from None
        for activity in content["method"]:
            _check_activity(activity)
        title, description = (str(content.get(part, "")) for part in ("title", "description"))
        return cls(name or title, title, description, content, expected)

    def faults(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and parameters of the faults that it injects."""
        return [
            (activity["provider"]["arguments"]["fault"], activity["provider"]["arguments"].get("params", {}))
            for activity in self.content["method"]
            if _module(activity) == _ACTIONS and activity["provider"].get("func") == "begin_fault"
        ]


def find_experiment(name: str) -> Path:
    """The file of that path, or of that name among those that come with the package. Raises BadInputError."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml", ".json"):
        return path
    shipped_one = shipped("chaos") / f"{name}.yaml"
    if not shipped_one.exists():
        raise BadInputError(f"unknown experiment {name!r}: give a file, or one of {', '.join(shipped_experiments())}")
    return shipped_one


def shipped_experiments() -> list[str]:
    """Names of the experiments that come with the package."""
    return sorted(path.stem for path in shipped("chaos").glob("*.yaml"))


def _module(part: Any) -> str | None:
    provider = part.get("provider", {}) if isinstance(part, Mapping) else {}
    module = provider.get("module") if isinstance(provider, Mapping) else None
    return module if isinstance(module, str) else None


def _check_activity(activity: Any) -> None:
    """What our actions would refuse in mid-drill is refused before it begins."""
    if _module(activity) != _ACTIONS:
        return
    provider = activity["provider"]
    arguments, where = provider.get("arguments", {}), f"method: {activity.get('name')}"
    match provider.get("func"):
        case "begin_fault":
            try:
                make_fault(str(arguments.get("fault")), arguments.get("params", {}))
            except BadInputError as error:
                raise BadInputError(f"{where}: {error}") from None
            lease = arguments.get("lease", 1)
            if not isinstance(lease, int | float) or not 0 < lease <= LONGEST_LEASE:
                raise BadInputError(f"{where}: a lease lasts at most {LONGEST_LEASE:g} s, not {lease}")
        case "observe":
            if arguments.get("phase") not in list(Phase):
                raise BadInputError(f"{where}: phase must be one of {', '.join(Phase)}")
        case "start_load":
            try:
                parse_mix(str(arguments.get("cases", "valid")))
            except BadInputError as error:
                raise BadInputError(f"{where}: {error}") from None
