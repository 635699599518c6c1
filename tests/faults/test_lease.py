"""A fault exists only as long as its heartbeat."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import FakeClock

from jwtdrill.faults.lease import LONGEST_FAULT, LONGEST_LEASE, LeaseTable


async def nothing() -> None:
    """An undo."""


def test_without_a_heartbeat_the_lease_runs_out(clock: FakeClock) -> None:
    table = LeaseTable(clock)
    lease = table.grant("jwks.status", {}, 10, nothing)
    clock.pass_(9.9)
    assert not table.expired()
    clock.pass_(0.1)
    assert table.expired() == (lease,)
    assert not table.renew(lease.id)


def test_a_heartbeat_lets_it_run_anew(clock: FakeClock) -> None:
    table = LeaseTable(clock)
    lease = table.grant("jwks.status", {}, 10, nothing)
    for _ in range(5):
        clock.pass_(6)
        assert table.renew(lease.id)
    assert not table.expired()


@given(st.lists(st.floats(0.1, 9.9), max_size=800))
def test_no_heartbeat_keeps_a_fault_for_ever(pauses: list[float]) -> None:
    clock = FakeClock(0)
    table = LeaseTable(clock)
    lease = table.grant("jwks.status", {}, 10, nothing)
    for pause in pauses:
        clock.pass_(pause)
        if not table.renew(lease.id):
            break
        assert lease.expires <= LONGEST_FAULT
        assert lease.expires - clock() <= 10 + 1e-6


@pytest.mark.parametrize("seconds", [0, -1, LONGEST_LEASE + 1, float("nan")])
def test_a_lease_of_a_wrong_length_is_refused(clock: FakeClock, seconds: float) -> None:
    with pytest.raises(ValueError, match="a lease lasts"):
        LeaseTable(clock).grant("jwks.status", {}, seconds, nothing)


def test_an_undo_that_fails_keeps_the_lease_so_that_it_is_tried_again(clock: FakeClock) -> None:
    calls = 0

    async def undo() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError

    table = LeaseTable(clock)
    lease = table.grant("jwks.status", {}, 10, undo)
    with pytest.raises(OSError):
        asyncio.run(table.end(lease.id))
    assert table.active() == (lease,)
    assert asyncio.run(table.end(lease.id))
    assert not asyncio.run(table.end(lease.id))
    assert calls == 2
