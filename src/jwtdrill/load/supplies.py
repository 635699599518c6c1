"""What the clients of one process draw from together: assertions signed ahead, minted tokens, a pool of tokens."""

import itertools
import os
import time
from collections.abc import Callable

from jwtdrill.load.fitness import Fitness
from jwtdrill.load.holding import Holding, like
from jwtdrill.load.lookahead import Lookahead, threads_for
from jwtdrill.load.run import Reuse, Run
from jwtdrill.tokens.keys import Algorithm


class Supplies:
    """Made when the load begins, after any fork, in one of so many `processes` on this machine."""

    def __init__(self, run: Run, processes: int) -> None:
        self._run = run
        self._processes = processes
        self._lookaheads: list[Lookahead] = []
        self._minted: Lookahead | None = None
        self._pool = itertools.cycle([Holding() for _ in range(run.pooled)]) if run.reuse is Reuse.POOL else None
        identity = run.client_credentials.identity
        if identity.minter is not None:
            ahead = self._lookahead(identity.minter.key.alg, lambda: identity.sign_assertion(time.time()))
            identity.signed_ahead = ahead.take

    def pooled(self) -> Holding | None:
        """The next holding of the pool; None where each client has its own."""
        return next(self._pool) if self._pool is not None else None

    def minted(self, genuine: str) -> Lookahead:
        """Fresh access tokens like the genuine one. The target has a signer."""
        if self._minted is None:
            assert self._run.signer is not None
            self._minted = self._lookahead(self._run.signer.key.alg, like(genuine, self._run.signer))
        return self._minted

    def note(self, fitness: Fitness) -> None:
        """Say how many tokens were asked for and how many were not signed in time."""
        fitness.taken = sum(ahead.taken for ahead in self._lookaheads)
        fitness.dry = sum(ahead.dry for ahead in self._lookaheads)

    def forget(self) -> None:
        """Count anew: what was asked for until now was no part of what is measured."""
        for ahead in self._lookaheads:
            ahead.taken = ahead.dry = 0

    def close(self) -> None:
        """End the signing."""
        for ahead in self._lookaheads:
            ahead.close()

    def _lookahead(self, alg: Algorithm, sign: Callable[[], str]) -> Lookahead:
        yielding = self._processes < (os.cpu_count() or 1)
        ahead = Lookahead(sign, threads_for(alg, self._processes), yielding=yielding)
        ahead.begin()
        self._lookaheads.append(ahead)
        return ahead
