"""A run in which the harness set the pace is found out, and one in which it did not is left alone."""

import json
from collections.abc import Callable

import pytest

from jwtdrill.load.fitness import Fitness, Missed, not_ours, problems


def fit() -> Fitness:
    """A harness that did well: a thousand requests, half a millisecond late; ten seconds at half a core."""
    fitness = Fitness(due=1000, watched_seconds=10, ran=5, waited=0.5, taken=1000)
    for _ in range(1000):
        fitness.started(0.0005)
        fitness.woke(0.0005)
    return fitness


def late(fitness: Fitness) -> None:
    for _ in range(30):
        fitness.started(0.03)


def lagging(fitness: Fitness) -> None:
    for _ in range(30):
        fitness.woke(0.03)


def test_a_fit_harness_has_no_problem() -> None:
    assert problems(fit(), open_model=True, p99=0.02) == []
    assert problems(fit(), open_model=False, p99=0.02) == []


@pytest.mark.parametrize(
    ("spoil", "open_model", "says", "mend"),
    [
        (late, True, "requests started late (p99 30.", "lower --rate"),
        (lagging, True, "the event loop woke late (p99 30.", "add --processes"),
        (lagging, False, "the event loop woke late (p99 30.", "add --processes"),
        (lambda f: f.miss(Missed.LATE, 2), True, "2 of 1,000 requests that were due were not sent", "lower --rate"),
        (lambda f: f.miss(Missed.CONNECTIONS, 9), True, "no connection left", "ulimit -n"),
        (lambda f: f.miss(Missed.NOT_SIGNED, 9), True, "no token signed in time", "add --processes"),
        (lambda f: f.miss(Missed.WORKER_LOST, 50), True, "its worker was lost", "see why the worker ended"),
        (lambda f: setattr(f, "busy_seconds", 4), False, "used its whole core in 40% of the time", "--processes"),
        (lambda f: setattr(f, "dry", 20), False, "20 of 1,000 tokens were not signed in time", "lighter algorithm"),
        (lambda f: setattr(f, "clock_step", -3.0), False, "clock was set by -3.00 s", "tokens carry its time"),
        (lambda f: f.trouble.update(EMFILE=1), False, "(EMFILE)", "ulimit -n"),
        (lambda f: f.trouble.update(EADDRNOTAVAIL=1), False, "(EADDRNOTAVAIL)", "ip_local_port_range"),
        (lambda f: f.stop_because("limits.tokens is used up"), False, "limits.tokens is used up", ""),
    ],
)
def test_each_shortage_is_named_with_its_mend(
    spoil: Callable[[Fitness], None], open_model: bool, says: str, mend: str
) -> None:
    fitness = fit()
    spoil(fitness)
    [problem] = problems(fitness, open_model=open_model, p99=0.02)
    assert says in problem
    assert mend in problem


def test_lateness_that_is_small_beside_the_latency_does_no_harm() -> None:
    fitness = fit()
    late(fitness)
    assert problems(fitness, open_model=True, p99=0.02)
    assert problems(fitness, open_model=True, p99=0.5) == []


def test_a_machine_that_is_kept_busy_by_something_else_is_said() -> None:
    fitness = fit()
    lagging(fitness)
    fitness.waited = 5.0
    [problem] = problems(fitness, open_model=False, p99=0.02)
    assert "waited for a CPU in 50% of the time" in problem


def test_what_the_target_is_to_blame_for_does_not_make_a_run_invalid() -> None:
    fitness = fit()
    fitness.miss(Missed.NO_TOKEN, 500)
    assert problems(fitness, open_model=True, p99=0.02) == []


def test_a_full_core_is_no_problem_of_the_open_model_that_is_in_time() -> None:
    fitness = fit()
    fitness.busy_seconds = 10
    assert problems(fitness, open_model=True, p99=0.02) == []


def test_workers_add_up_over_the_wire() -> None:
    one, other = fit(), fit()
    late(other)
    other.miss(Missed.LATE, 3)
    other.trouble["EMFILE"] = 2
    other.clock_step = -4.0
    other.stop_because("worker limit")
    merged = Fitness()
    for part in (one, other):
        merged.merge(json.loads(json.dumps(part.state())))
    assert (merged.due, merged.taken, merged.watched_seconds, merged.ran) == (2000, 2000, 20, 10)
    assert merged.missed == {Missed.LATE: 3}
    assert merged.trouble == {"EMFILE": 2}
    assert merged.clock_step == -4.0
    assert merged.limit == "worker limit"
    assert merged.lateness.get_total_count() == 2030
    assert merged.to_json()["missed"] == {"started too late": 3}


def test_the_few_late_beats_of_a_short_runs_beginning_do_no_harm() -> None:
    fitness = Fitness(watched_seconds=1, ran=0.2)
    for number in range(50):
        fitness.woke(0.04 if number < 3 else 0.0005)
    assert problems(fitness, open_model=False, p99=0.02) == []
    for _ in range(3):
        fitness.woke(0.04)
    assert problems(fitness, open_model=False, p99=0.02)


@pytest.mark.parametrize(
    ("pause", "excess", "ours"),
    [(0.06, 0.037, True), (0.06, 0.06, True), (0.06, 0.08, False), (0.0, 0.0005, False)],
)
def test_a_latency_is_charged_to_the_target_only_beyond_what_the_harness_was_late(
    pause: float, excess: float, ours: bool
) -> None:
    fitness = Fitness()
    for number in range(1000):
        fitness.started(pause if number > 996 and pause else 1e-4)
    why = not_ours(fitness, 0.999, excess, "Tail")
    assert bool(why) == ours
    if ours:
        assert f"Tail was missed by {excess * 1e3:.3g} ms" in why
        assert not_ours(fitness, 0.95, excess, "Tail") == ""  # most requests never felt the pause


def test_of_a_harness_that_saw_nothing_of_itself_nothing_is_said() -> None:
    assert not_ours(Fitness(), 0.99, 0.1, "Tail") == ""
