"""Chaos Toolkit actions of a drill. Each does one thing to the session that the control has opened.

An action that fails makes the drill invalid and ends the method; the rollbacks still run.
"""

from typing import Any

from jwtdrill.drill.record import Phase
from jwtdrill.drill.session import current, under_way
from jwtdrill.faults.lease import DEFAULT_LEASE


def start_load(users: int = 20, throughput: float = 10.0, cases: str = "valid") -> None:
    """Start so many clients at so many requests/s each, with tokens of those cases, and the canary beside them."""
    current().start_load(users, throughput, cases)


def observe(phase: str, seconds: float) -> None:
    """Let the load run on in that phase, control, fault or recovery, for so many seconds at most.

    Fault and recovery end before that when all has been seen that they are for: every alert that must fire; good tokens
    accepted again, and no page left.
    """
    current().observe(Phase(phase), seconds)


def begin_fault(fault: str, params: dict[str, Any] | None = None, lease: float = DEFAULT_LEASE) -> None:
    """Put a fault in force. It ends with `end_faults`, or one lease after this process is gone."""
    current().begin_fault(fault, params or {}, lease)


def end_faults() -> None:
    """End every fault of the drill. May be called again, and where no drill has begun."""
    if under_way():
        current().end_faults()


def stop_load() -> None:
    """Stop load and canary. May be called again, and where no drill has begun."""
    if under_way():
        current().stop_load()
