"""A drill's file: read, and checked whole before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from jwtdrill.catalog.objectives import objectives
from jwtdrill.drill.deadlines import Demands, demands
from jwtdrill.drill.expectations import Expectations
from jwtdrill.drill.form import Activity, BeginFault, ExperimentForm, check_method, injected, load_of, observed, plainly
from jwtdrill.errors import BadInputError
from jwtdrill.faults.registry import make_fault
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.paths import shipped
from jwtdrill.target.model import Target, Times

T = TypeVar("T", bound=BaseModel)

NAME = "jwtdrill"
# Set, a plain `chaos run` neither watches nor judges alerts, or declares those that it announces.
WITHOUT_ALERTS, DECLARE = "JWTDRILL_WITHOUT_ALERTS", "JWTDRILL_DECLARE"
_CONTROL = "jwtdrill.drill.control"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A Chaos Toolkit experiment that is a drill.

    name: of its file; content: as Chaos Toolkit takes it; method: the same, checked.
    """

    name: str
    title: str
    description: str
    content: Mapping[str, Any]
    method: tuple[Activity, ...]
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
        if not isinstance(content, Mapping) or not content.get("method"):
            raise BadInputError("not an experiment: it needs title, description and method")
        form = _validated(ExperimentForm, content, "")
        if not any(control.provider.module == _CONTROL for control in form.controls):
            raise BadInputError(f"no control with the module {_CONTROL}: without it nothing is judged")
        if form.runtime.rollbacks.strategy != "always":
            raise BadInputError("runtime.rollbacks.strategy must be always, so that an interruption ends the fault too")
        declared = next((e for e in form.extensions if e.get("name") == NAME), None)
        if declared is None:
            raise BadInputError(f"no extension called {NAME}: it says what must follow from the fault")
        expected = _validated(Expectations, {k: v for k, v in declared.items() if k != "name"}, f"extensions.{NAME}.")
        check_method(form.method)
        return cls(name or form.title, form.title, form.description, content, form.method, expected)

    def faults(self) -> list[BeginFault]:
        """The faults that it injects."""
        return injected(self.method)

    @property
    def seconds(self) -> float:
        """How long its phases last together, at most."""
        return observed(self.method)

    def after_effect(self, times: Times) -> float:
        """Seconds for which its faults together last on, at most. Raises BadInputError without a bound."""
        bounds = []
        for begun in self.faults():
            try:
                bounds.append(make_fault(begun.fault, begun.params).after_effect.bound(times))
            except BadInputError as error:
                raise BadInputError(f"{begun.fault} {error}") from None
        return max(bounds, default=0.0)

    def demands(self, target: Target) -> Demands:
        """What follows from what it declares, on that target. Raises BadInputError for an alert that cannot fire."""
        load = load_of(self.method)
        after = self.after_effect(target.times)
        scale = TimeScale(target.watch.time_scale)
        return demands(self.expected, load.users * load.throughput, objectives(target.objectives_path), scale, after)


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


def _validated(form: type[T], content: Any, where: str) -> T:
    try:
        return form.model_validate(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = where + ".".join(str(step) for step in mistake["loc"])
        raise BadInputError(f"{place}: {plainly(mistake)}") from None
