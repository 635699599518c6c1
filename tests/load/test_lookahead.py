"""Tokens are signed ahead, elsewhere than on the event loop, and are fresh all the same."""

import threading
import time
from collections.abc import Iterator

import gevent
import pytest

from jwtdrill.load import lookahead
from jwtdrill.load.lookahead import FOR_ALL, FOR_ONE, Depth, DryError, Lookahead, Signers


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
    signers = Signers(1)
    yield Lookahead(signer, signers)
    signers.close()


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
    assert signer.made <= FOR_ALL.least + 1
    for _ in range(300):
        ahead.take()
    time.sleep(0.3)
    assert len(ahead._ready) <= lookahead._MOST_DEPTH


def test_a_token_that_grew_old_is_not_handed_out(signer: Signer) -> None:
    signers = Signers(1)
    ahead = Lookahead(signer, signers, Depth(64, oldest=0.05))
    ahead.begin()
    time.sleep(0.2)
    stale = signer.made
    assert int(ahead.take().partition("-")[2]) > stale
    signers.close()


def test_a_pool_that_runs_dry_says_so_and_the_wait_ends_with_the_next_token(signer: Signer) -> None:
    signers = Signers(1)
    slow = Lookahead(signer, signers)
    signer.seconds = 0.02
    for _ in range(5):
        slow.take()
    assert slow.dry >= 3
    assert slow.taken == 5
    signers.close()


def test_many_clients_share_the_threads_and_each_has_one_token_ready() -> None:
    signers = Signers(1)
    makers = [Signer() for _ in range(50)]
    aheads = [Lookahead(maker, signers, FOR_ONE) for maker in makers]
    for ahead in aheads:
        ahead.begin()
    time.sleep(0.2)
    assert [maker.made for maker in makers] == [1] * 50
    assert len({thread for maker in makers for thread in maker.threads}) == 1
    assert [ahead.take() for ahead in aheads] == ["token-1"] * 50
    time.sleep(0.2)
    assert [maker.made for maker in makers] == [2] * 50
    assert sum(ahead.dry for ahead in aheads) == 0
    signers.close()


def test_a_key_that_cannot_sign_is_an_error_and_no_hang(ahead: Lookahead, signer: Signer) -> None:
    signer.fails = True
    began = time.monotonic()
    with pytest.raises(DryError, match="OSError"):
        ahead.take()
    assert time.monotonic() - began < 5
