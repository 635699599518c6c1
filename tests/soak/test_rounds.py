"""The soak's rounds: repeatable, and together everything that there is to break and every way to be killed."""

import itertools
import random
import signal

import pytest
from tests.soak.parameters import HTTP, OTHERS, draw, kinds
from tests.soak.rounds import SIGNALS, Round, Victim, Way, rounds

from jwtdrill.faults.registry import FAULTS, HTTP_FAULTS, make_fault


def sixty(seed: int) -> list[Round]:
    """As many as have sixty controllers."""
    return list(itertools.islice(rounds(seed), 66))


def test_a_seed_deals_the_same_rounds_again_and_another_seed_others() -> None:
    assert sixty(7) == sixty(7)
    assert sixty(7) != sixty(8)


@pytest.mark.parametrize("seed", range(5))
def test_sixty_controllers_meet_every_signal_and_most_faults_and_the_agent_is_hit_apart(seed: int) -> None:
    dealt = sixty(seed)
    controllers = [one for one in dealt if one.victim is Victim.CONTROLLER]
    assert len(controllers) == 60
    assert {one.signal for one in dealt if one.victim is Victim.AGENT} == {signal.SIGKILL, signal.SIGSTOP}
    for ways, least in ((set(Way) - {Way.FAULTS}, 1), ({Way.FAULTS}, 12)):
        for number in SIGNALS:
            assert sum(one.signal is number and one.way in ways for one in controllers) >= least
    assert len({(one.way, one.drill) for one in controllers if one.drill}) == 6
    assert len({name.partition(".")[2] for one in dealt for name, _ in one.faults}) > 0.8 * len(kinds())


@pytest.mark.parametrize("kind", kinds())
def test_the_parameters_of_every_kind_of_fault_are_such_as_it_takes(kind: str) -> None:
    rng = random.Random(1)
    for _ in range(50):
        make_fault(*draw(rng, kind))


def test_no_parameters_are_drawn_for_a_fault_that_there_is_not() -> None:
    assert set(HTTP) <= set(HTTP_FAULTS)
    assert set(OTHERS) <= set(FAULTS)
