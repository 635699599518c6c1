"""`make soak`: SOAK_ROUNDS controllers are killed (1,000), as SOAK_SEED deals; with SOAK_ROUND that round alone."""

import itertools
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.soak.ground import Ground
from tests.soak.rounds import rounds
from tests.soak.soak import Soak, summary

began = time.monotonic()


def say(text: str) -> None:
    """With the minutes that have passed."""
    sys.stdout.write(f"{(time.monotonic() - began) / 60:6.1f} min  {text}\n")
    sys.stdout.flush()


def main() -> int:
    """1 when something stayed or was late."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so its children
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(2**32))
    kills = int(os.environ.get("SOAK_ROUNDS") or 1000)
    plans = rounds(seed)
    if alone := os.environ.get("SOAK_ROUND"):
        plans, kills = itertools.islice(plans, int(alone) - 1, int(alone)), 1
    say(f"seed {seed}: repeat with SOAK_SEED={seed} SOAK_ROUNDS={kills} make soak")
    with tempfile.TemporaryDirectory(prefix="jwtdrill-soak-") as folder, Ground(Path(folder)) as ground:
        outcomes = Soak(ground, seed, say).run(plans, kills)
    findings = sum(len(one.findings) for one in outcomes)
    say(f"{'VIOLATED' if findings else 'HELD'}, seed {seed}, {len(outcomes)} rounds: {summary(outcomes)}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
