"""Requests of the open model start when they are due, and what could not start is counted."""

import time
from collections.abc import Callable

import gevent
import pytest

from jwtdrill.load.arrivals import Rate, Share
from jwtdrill.load.fitness import Fitness, Missed
from jwtdrill.load.open_loop import Arriving, OpenLoop, take_due


class Client:
    """Notes when its requests were due, and takes `seconds` for each."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.due: list[float | None] = []
        self.begun = 0

    def arrive(self) -> None:
        self.begun += 1
        self.due += [take_due(), take_due()]
        gevent.sleep(self.seconds)


def run(clients: list[Arriving], rate: str, seconds: float, most: int = 1000) -> tuple[OpenLoop, Fitness]:
    fitness = Fitness()
    loop = OpenLoop(Rate.parse(rate), clients, fitness, most=most, dice=None)
    loop.run(Share(), 0)
    gevent.sleep(seconds)
    loop.stop()
    return loop, fitness


def test_requests_do_not_wait_for_answers() -> None:
    """A hundred a second of half a second each: fifty are under way at once."""
    client = Client(0.5)
    loop, fitness = run([client], "100", 1.0)
    assert loop.under_way == pytest.approx(50, abs=6)
    assert fitness.due == pytest.approx(100, abs=4)
    assert loop.drain(2) == 0
    assert client.begun == fitness.due


def test_the_first_request_of_an_arrival_alone_counts_from_when_it_was_due() -> None:
    client = Client()
    began = time.perf_counter()
    run([client], "50", 0.3)
    first, second = client.due[::2], client.due[1::2]
    assert all(due is not None and began <= due <= time.perf_counter() for due in first)
    assert set(second) == {None}


def test_outside_an_arrival_nothing_is_due() -> None:
    assert take_due() is None


def test_arrivals_are_dealt_out_to_all_clients() -> None:
    clients = [Client() for _ in range(4)]
    run(list(clients), "200", 0.5)
    counts = [client.begun for client in clients]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == pytest.approx(100, abs=4)


def test_without_a_free_connection_an_arrival_is_missed() -> None:
    _, fitness = run([Client(10)], "100", 0.5, most=10)
    assert fitness.missed == {Missed.CONNECTIONS: fitness.due - 10}


def test_without_a_client_an_arrival_is_missed() -> None:
    _, fitness = run([], "100", 0.3)
    assert fitness.missed == {Missed.NO_TOKEN: fitness.due}
    assert fitness.due > 20


def test_what_is_more_than_a_second_late_is_missed_and_not_made_up_for() -> None:
    client = Client()
    fitness = Fitness()
    loop = OpenLoop(Rate.parse("100"), [client], fitness, most=1000, dice=None)
    loop.run(Share(), 0)
    gevent.sleep(0.1)
    time.sleep(2.0)  # the whole process stands still
    gevent.sleep(0.2)
    loop.stop()
    assert fitness.missed[Missed.LATE] == pytest.approx(100, abs=10)
    assert client.begun + fitness.missed[Missed.LATE] == fitness.due == pytest.approx(230, abs=8)


@pytest.mark.parametrize("stopped", [lambda loop: loop.stop(), lambda loop: loop.run(Share(0, 4), 100.0)])
def test_a_loop_that_is_stopped_or_gets_a_new_share_goes_on_with_nothing_of_the_old(
    stopped: Callable[[OpenLoop], None],
) -> None:
    client = Client()
    loop = OpenLoop(Rate.parse("400"), [client], Fitness(), most=1000, dice=None)
    loop.run(Share(), 0)
    gevent.sleep(0.2)
    stopped(loop)
    before = client.begun
    gevent.sleep(0.2)
    loop.stop()
    assert client.begun - before <= 0.2 * 400 / 4 + 4
