"""What differs between two runs is told from noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.load.compare import Change, Direction, compare, read_side
from jwtdrill.load.files import RunFile, read_run


def run(
    seed: int,
    *,
    mean: float = 20.0,
    sway: float = 0.1,
    rate: int = 100,
    seconds: int = 20,
    wrong: int = 0,
    outcome: str = "held",
) -> RunFile:
    """A run whose latencies (ms) sway together from second to second, as those of real servers do."""
    dice = np.random.default_rng(seed)
    blocks, timeline = [], []
    for at in range(seconds):
        here = mean * (1 + sway * dice.standard_normal())
        micros = (1000 * (here + dice.exponential(here / 4, rate))).astype(int)
        values, counts = np.unique(micros, return_counts=True)
        stream = {"flow": "call", "case": "valid", "resource": "a"}
        pairs = [[int(v), int(c)] for v, c in zip(values, counts, strict=True)]
        blocks.append({"time": at, "latencies": [{**stream, "microseconds": pairs}]})
        tally = {**stream, "expected": "accepted"}
        records = [{**tally, "verdict": "accepted", "count": rate - wrong}]
        if wrong:
            records.append({**tally, "verdict": "rejected", "count": wrong})
        timeline.append({"time": at, "tallies": records})
    content: dict[str, Any] = {
        "jwtdrill": "0.1.0",
        "scenario": "verification.py",
        "environment": "lab",
        "issuer": "https://idp",
        "model": {"kind": "open", "rate": str(rate)},
        "target": {},
        "versions": {"locust": "2"},
        "machine": {"cores": 2},
        "outcome": outcome,
        "tallies": [],
        "block_seconds": 1,
        "blocks": blocks,
        "timeline": timeline,
    }
    return RunFile(Path(f"{seed}/run.json"), content)


def changes(before: list[RunFile], after: list[RunFile], least: float = 0.05) -> dict[str, Change]:
    return {change.what: change for change in compare(before, after, least).changes}


def test_two_runs_alike_seldom_differ() -> None:
    """At a level of 5 % for all figures together: of 20 pairs at most a few."""
    differing = sum(
        any(c.direction is not Direction.SAME for c in changes([run(2 * n)], [run(2 * n + 1)], 0.0).values())
        for n in range(20)
    )
    assert differing <= 3


def test_the_interval_holds_the_true_change() -> None:
    hits = 0
    for n in range(15):
        change = changes([run(2 * n)], [run(2 * n + 1, mean=30.0)])["call valid p50"]
        hits += change.low <= 0.5 <= change.high
    assert hits >= 13


def test_a_slower_target_is_worse_and_a_faster_one_better() -> None:
    slower = changes([run(1)], [run(2, mean=26.0)])
    assert {slower[f"call valid p{p}"].direction for p in (50, 95, 99)} == {Direction.WORSE}
    assert changes([run(1, mean=26.0)], [run(2)])["call valid p95"].direction is Direction.BETTER
    assert compare([run(1)], [run(2, mean=26.0)]).worse
    assert not compare([run(1, mean=26.0)], [run(2)]).worse


def test_a_change_that_is_sure_but_small_is_none() -> None:
    before, after = [run(1, sway=0.001)], [run(2, sway=0.001, mean=20.8)]
    assert changes(before, after)["call valid p50"].direction is Direction.SAME
    assert changes(before, after, least=0.01)["call valid p50"].direction is Direction.WORSE


def test_fewer_answers_are_worse_and_wrong_ones_too() -> None:
    assert changes([run(1)], [run(2, rate=80)])["answers"].direction is Direction.WORSE
    assert changes([run(1, wrong=1)], [run(2, wrong=5)])["wrong answers"].direction is Direction.WORSE
    assert "wrong answers" not in changes([run(1)], [run(2)])


def test_what_differs_from_run_to_run_is_noise_when_several_are_given() -> None:
    """Runs of one side lie 20 % apart: a tenth between two single ones means nothing."""
    before = [run(n, sway=0.001, mean=mean) for n, mean in enumerate((18, 20, 22))]
    after = [run(n + 9, sway=0.001, mean=mean) for n, mean in enumerate((19, 21, 23))]
    assert changes([before[1]], [after[2]])["call valid p50"].direction is Direction.WORSE
    assert changes(before, after)["call valid p50"].direction is Direction.SAME


def test_percentiles_that_too_few_answers_reach_are_left_out() -> None:
    assert "call valid p99" not in changes([run(1, rate=50)], [run(2, rate=50)])


def test_the_same_runs_give_the_same_words() -> None:
    assert compare([run(1)], [run(2)]) == compare([run(1)], [run(2)])


def test_what_was_done_differently_is_told_and_an_invalid_run_is_named() -> None:
    found = compare([run(1)], [run(2, rate=90, outcome="invalid")])
    assert found.differences == ["model.rate: 100 → 90"]
    assert found.invalid == ["2/run.json"]


def test_a_run_too_short_is_refused() -> None:
    with pytest.raises(BadInputError, match="too short to compare: it lasted 5 s"):
        compare([run(1)], [run(2, seconds=5)])


def test_a_side_is_a_file_a_folder_or_a_folder_of_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "side" / name).mkdir(parents=True)
        (tmp_path / "side" / name / "run.json").write_text(json.dumps(run(1).content))
    assert len(read_side(tmp_path / "side")) == 2
    assert len(read_side(tmp_path / "side" / "a")) == len(read_side(tmp_path / "side" / "a" / "run.json")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[]", "is no result of a load run"), ('{"outcome": 1}', "is no result of a load run")],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(BadInputError, match=message):
        read_run(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blocks", "x"),
        ("blocks", [{"time": 0, "latencies": [{"microseconds": "x"}]}] * 20),
        ("timeline", []),
        ("timeline", None),
    ],
)
def test_a_damaged_run_is_one_line(name: str, value: Any) -> None:
    good, damaged = run(1), run(2)
    damaged.content[name] = value
    with pytest.raises(BadInputError, match=r"damaged|too short") as error:
        compare([good], [damaged])
    assert "\n" not in str(error.value)
