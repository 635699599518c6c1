"""`python -m tests.soak.controller ORDER`: begins faults, holds them and ends them, as a drill does; to be killed."""

import contextlib
import json
import sys
import time

from jwtdrill.errors import JwtdrillError
from jwtdrill.faults.client import FaultClient
from jwtdrill.target.load import load_target


def main() -> None:
    """As the order says: target, faults, lease and hold (seconds)."""
    order = json.loads(sys.argv[1])
    agent = FaultClient.of(load_target(order["target"]))
    with contextlib.ExitStack() as held:
        for name, params in order["faults"]:
            try:
                held.enter_context(agent.begin(name, params, order["lease"]))
            except JwtdrillError as error:  # what a fault broke may be what the next one needs
                sys.stderr.write(f"{name}: {error}\n")
        time.sleep(order["hold"])


if __name__ == "__main__":
    main()
