"""Sixty controllers are killed at random moments, and no fault outlives its lease: a short form of `make soak`."""

import os
import random
import sys
from pathlib import Path

import pytest
from tests.integration.conftest import missing_programs
from tests.soak.ground import Ground
from tests.soak.rounds import Victim, rounds
from tests.soak.soak import Soak, summary

KILLS = 60


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.skipif(missing_programs(), reason="needs libfaketime")
def test_whoever_is_killed_whenever_nothing_outlives_its_lease(tmp_path: Path) -> None:
    """A failure prints the seed, by which `make soak` repeats it."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"SOAK_SEED={seed} SOAK_ROUNDS={KILLS} make soak\n")
    findings: list[str] = []
    with Ground(tmp_path) as ground:
        outcomes = Soak(ground, seed, findings.append).run(rounds(seed), KILLS)
    hit = [one for one in outcomes if one.hit]
    assert not any(one.findings for one in outcomes), "\n".join(findings)
    assert sum(one.round.victim is Victim.CONTROLLER for one in hit) >= KILLS
    assert sum(one.in_force > 0 for one in hit) >= KILLS / 3, summary(outcomes)
    assert sum(bool(one.round.drill) for one in hit) >= 3, summary(outcomes)
    assert sum(one.round.victim is Victim.AGENT for one in hit) >= 4, summary(outcomes)
