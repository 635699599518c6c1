"""Tokens are signed ahead, elsewhere than on the event loop, and are fresh all the same."""

import threading
import time
from collections.abc import Iterator

import gevent
import pytest

from jwtdrill.load import lookahead
from jwtdrill.load.lookahead import DryError, Lookahead


class Signer:
    """Counts; takes `seconds` for each, in the thread that it is called in."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.made = 0
        self.threads: set[int] = set()
        self.fails = False

    def __call__(self) -> str:
        if self.fails:
            raise OSError("no key")
        time.sleep(self.seconds)
        self.made += 1
        self.threads.add(threading.get_ident())
        return f"token-{self.made}"


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def ahead(signer: Signer) -> Iterator[Lookahead]:
    made = Lookahead(signer, threads=1)
    yield made
    made.close()


def test_every_token_is_another_and_none_is_signed_on_the_loop(ahead: Lookahead, signer: Signer) -> None:
    tokens = [ahead.take() for _ in range(500)]
    assert len(set(tokens)) == 500
    assert threading.get_ident() not in signer.threads
    assert ahead.taken == 500


def test_the_loop_goes_on_while_tokens_are_signed(ahead: Lookahead, signer: Signer) -> None:
    signer.seconds = 0.2
    beats = 0

    def beat() -> None:
        nonlocal beats
        while True:
            gevent.sleep(0.01)
            beats += 1

    beating = gevent.spawn(beat)
    ahead.take()
    beating.kill()
    assert beats >= 10


def test_what_lies_ready_is_bounded(ahead: Lookahead, signer: Signer) -> None:
    ahead.take()
    time.sleep(0.3)
    assert signer.made <= lookahead._LEAST_DEPTH + 1
    for _ in range(300):
        ahead.take()
    time.sleep(0.3)
    assert len(ahead._ready) <= lookahead._MOST_DEPTH


def test_a_token_that_grew_old_is_not_handed_out(
    ahead: Lookahead, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead.begin()
    time.sleep(0.2)
    stale = signer.made
    monkeypatch.setattr(lookahead, "_OLDEST", 0.05)
    assert int(ahead.take().partition("-")[2]) > stale


def test_a_pool_that_runs_dry_says_so_and_the_wait_ends_with_the_next_token(signer: Signer) -> None:
    slow = Lookahead(signer, threads=1)
    signer.seconds = 0.02
    for _ in range(5):
        slow.take()
    assert slow.dry >= 3
    assert slow.taken == 5
    slow.close()


def test_a_key_that_cannot_sign_is_an_error_and_no_hang(ahead: Lookahead, signer: Signer) -> None:
    signer.fails = True
    began = time.monotonic()
    with pytest.raises(DryError, match="OSError"):
        ahead.take()
    assert time.monotonic() - began < 5
