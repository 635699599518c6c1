"""Who may drill a target: one drill at a time, by a lock on this machine and by a claim at the fault agent."""

import hashlib
import os
import socket
from types import TracebackType

from jwtdrill.errors import BadInputError
from jwtdrill.faults.claim import CLAIM
from jwtdrill.faults.client import FaultClient, HeldFault
from jwtdrill.faults.journal import actor
from jwtdrill.target.model import Target

_LEASE = 10.0  # seconds, renewed while we live; so long a drill that was killed keeps the next one away


class Holding:
    """Holds the target for the drill of that title until closed. Raises BadInputError when another drill does."""

    def __init__(self, target: Target, title: str, agent: FaultClient | None) -> None:
        self._lock = _lock(target)
        self._claim: HeldFault | None = None
        if agent is not None:
            try:
                self._claim = agent.begin(CLAIM, {"by": f"{title}, {actor()}"[:200]}, _LEASE)
            except BaseException:
                self._lock.close()
                raise

    @property
    def lost(self) -> bool:
        """Whether the claim is gone before its time: somebody stopped all drills, or the agent was started anew."""
        return self._claim is not None and self._claim.lost

    def close(self) -> None:
        """Let the next drill come. Raises MissingPartError when the agent does not answer; its lease ends it then."""
        self._lock.close()
        if self._claim is not None:
            self._claim.end()

    def __enter__(self) -> "Holding":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stop_all(target: Target) -> list[str]:
    """End every fault at the target, and let none begin; returns the names of those that were in force."""
    client = FaultClient.of(target)
    try:
        ended = [lease["fault"] for lease in client.active()]
        client.stop()
    finally:
        client.close()
    return ended


def resume_all(target: Target) -> None:
    """Let faults begin again."""
    client = FaultClient.of(target)
    try:
        client.resume()
    finally:
        client.close()


def _lock(target: Target) -> socket.socket:
    """A name that the kernel gives once, and takes back with the process that holds it: no file, which could stay.

    It is a socket's abstract address (unix(7)), on which nobody listens.
    """
    name = hashlib.sha256(f"{target.environment} {target.issuer.url}".encode()).hexdigest()[:16]
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0jwtdrill-drill-{os.getuid()}-{name}")
    except OSError:
        lock.close()
        raise BadInputError(
            f"{target.path}: another drill is under way there: wait for its end, or end it with `jwtdrill stop`"
        ) from None
    return lock
