"""Leases: a fault's right to exist, which runs out unless a heartbeat renews it.

Safety lies here, at the fault's own end: whatever happens to the controller, the table undoes the fault when its
time is over. Time is a parameter, so that the rules can be tested without waiting.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field

DEFAULT_LEASE = 30.0  # seconds
LONGEST_LEASE = 120.0
LONGEST_FAULT = 3600.0  # however often it is renewed

Undo = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Lease:
    """A fault in force. Times in monotonic seconds; `undo` may be called twice."""

    fault: str
    params: Mapping[str, object]
    seconds: float
    expires: float
    ends: float
    undo: Undo = field(repr=False)
    place: str | None = None  # what it breaks: one fault at a time there
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    busy: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # while it is applied or undone


class LeaseTable:
    """The leases of one agent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._leases: dict[str, Lease] = {}

    def grant(
        self, fault: str, params: Mapping[str, object], seconds: float, undo: Undo, place: str | None = None
    ) -> Lease:
        """A lease that runs from now. Raises ValueError when it is longer than allowed."""
        if isinstance(seconds, bool) or not 0 < seconds <= LONGEST_LEASE:
            raise ValueError(f"a lease lasts more than 0 and at most {LONGEST_LEASE:g} s, not {seconds:g}")
        now = self._clock()
        lease = Lease(fault, params, seconds, now + seconds, now + LONGEST_FAULT, undo, place)
        self._leases[lease.id] = lease
        return lease

    def renew(self, lease_id: str) -> bool:
        """Heartbeat: let the lease run anew. False when it is gone."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.expires <= self._clock():
            return False
        lease.expires = min(self._clock() + lease.seconds, lease.ends)
        return True

    def active(self) -> tuple[Lease, ...]:
        """The leases that have not ended, oldest first."""
        return tuple(self._leases.values())

    def at(self, place: str) -> Lease | None:
        """The lease of a fault in that place."""
        return next((lease for lease in self._leases.values() if lease.place == place), None)

    def expired(self) -> tuple[Lease, ...]:
        """Those whose time is over and that must be ended."""
        now = self._clock()
        return tuple(lease for lease in self._leases.values() if lease.expires <= now)

    def next_expiry(self, besides: Container[str] = ()) -> float | None:
        """When the next lease runs out, besides those of these ids; None without leases."""
        return min((lease.expires for lease in self._leases.values() if lease.id not in besides), default=None)

    def expire(self, lease_id: str) -> None:
        """Let it run out now."""
        if lease_id in self._leases:
            self._leases[lease_id].expires = self._clock()

    async def end(self, lease_id: str) -> bool:
        """Undo the fault, then forget the lease: an undo that fails is tried again. False when it was gone."""
        lease = self._leases.get(lease_id)
        if lease is None:
            return False
        await lease.undo()
        return self._leases.pop(lease_id, None) is not None
