"""What a fault is, what it may touch, and what lasts on when it is over.

A fault is a pydantic dataclass whose fields are its parameters, and lives for one lease. `undo` may be called twice,
after an `apply` that failed half-way, and on a fresh fault of the same parameters, since an agent that was killed
undoes what it finds in its notes when it is started again. It raises when it did not work, and is tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from jwtdrill.errors import BadInputError
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.route import Route
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target, Times


@dataclass(frozen=True, slots=True)
class Managed:
    """A process that somebody keeps running. health: a URL that answers 200 while it is well, where there is one."""

    pid_file: Path
    health: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """All that an agent can reach, by name: proxied routes, clock files, processes; and the issuer's admin interface.

    target: the file of the system that bad traffic is sent to. folder: for what faults run and note.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    clocks: Mapping[str, Path] = field(default_factory=dict)
    issuer: IssuerAdmin | None = None
    target: Path | None = None
    folder: Path = Path()
    processes: Mapping[str, Managed] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """The proxied route of that name. Raises BadInputError."""
        if name not in self.routes:
            raise BadInputError(f"nothing is proxied as {name!r}: this agent has {', '.join(self.routes) or 'nothing'}")
        return self.routes[name]

    def clock(self, name: str) -> Path:
        """The file that moves that clock. Raises BadInputError."""
        if name not in self.clocks:
            raise BadInputError(
                f"clock {name!r} cannot be moved: this agent can move {', '.join(self.clocks) or 'none'}"
            )
        return self.clocks[name]

    def process(self, name: str) -> Managed:
        """The process of that name. Raises BadInputError."""
        if name not in self.processes:
            raise BadInputError(
                f"process {name!r} is not ours: this agent may touch {', '.join(self.processes) or 'none'}"
            )
        return self.processes[name]

    def require_target(self, fault: str) -> Target:
        """The target, read anew: its file may be younger than this agent. Raises BadInputError."""
        if self.target is None:
            raise BadInputError(f"{fault}: this agent knows no target file: set target_file in its settings")
        return load_target(str(self.target))

    def require_issuer(self, fault: str) -> IssuerAdmin:
        """The issuer's admin interface. Raises BadInputError."""
        if self.issuer is None:
            raise BadInputError(f"{fault}: this agent has no admin interface of an issuer")
        return self.issuer


@dataclass(frozen=True, slots=True)
class AfterEffect:
    """What lasts on after the undo, in words, and how long: the times of the target that it lasts for, and seconds.

    times: names of keys of the target file's [times], added up.
    """

    words: str
    times: tuple[str, ...] = ()
    seconds: float = 2.0

    def unknown(self, times: Times) -> list[str]:
        """Keys of [times] that are not given: without them there is no bound."""
        return [name for name in self.times if getattr(times, name) is None]

    def bound(self, times: Times) -> float:
        """Seconds after which the target is normal again. Raises BadInputError without a bound."""
        if missing := self.unknown(times):
            raise BadInputError(f"lasts on {self.words}, and nothing says how long: set {missing[0]} under [times]")
        return self.seconds + sum(float(getattr(times, name)) for name in self.times)


@runtime_checkable
class Sending(Protocol):
    """A fault that sends requests itself, and knows what came of them."""

    def seen(self) -> list[dict[str, Any]]:
        """Tallies by second so far: time (Unix), flow, case, resource, expected, verdict, count."""
        ...


class Fault(Protocol):
    """One injectable condition. `blast_radius` says in words who suffers, `after_effect` for how long after."""

    blast_radius: ClassVar[str]

    @property
    def after_effect(self) -> AfterEffect:
        """Of one with these parameters."""
        ...

    @property
    def place(self) -> str | None:
        """What it breaks, of which only one fault can be in force at a time; None where several can."""
        ...

    def check(self, site: Site) -> None:
        """The dry run: touch nothing. Raises BadInputError when the site has nothing to break so."""
        ...

    async def apply(self, site: Site) -> None:
        """Put it in force."""
        ...

    async def undo(self, site: Site) -> None:
        """Take back whatever `apply` did."""
        ...
