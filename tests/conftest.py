"""What many tests share: keys are slow to make, so there is one of each algorithm in a session."""

import signal

import pytest

from jwtdrill.tokens.keys import Algorithm, SigningKey

# A shell gives its background jobs an ignored SIGINT, which children inherit: they would not end by Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def keys() -> dict[Algorithm, SigningKey]:
    """One signing key of each algorithm."""
    return {alg: SigningKey.generate(alg) for alg in Algorithm}


class FakeClock:
    """Time that passes only when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    """A clock that a test moves."""
    return FakeClock()
