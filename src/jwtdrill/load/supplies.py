"""What the clients of one process draw from together: assertions signed ahead, minted tokens, a pool of tokens."""

import itertools
import os
import time
from collections.abc import Callable

from jwtdrill.flows.token import ClientIdentity
from jwtdrill.load.fitness import Fitness
from jwtdrill.load.holding import Holding, like
from jwtdrill.load.lookahead import FOR_ALL, FOR_ONE, Depth, Lookahead, Signers, threads_for
from jwtdrill.load.run import Reuse, Run
from jwtdrill.target.model import Client
from jwtdrill.tokens.keys import Algorithm


class Supplies:
    """Made when the load begins, after any fork, in one of so many `processes` on this machine."""

    def __init__(self, run: Run, processes: int) -> None:
        self._run = run
        self._processes = processes
        self._signers: dict[int, Signers] = {}
        self._lookaheads: list[Lookahead] = []
        self._minted: Lookahead | None = None
        self._pool = itertools.cycle([Holding() for _ in range(run.pooled)]) if run.reuse is Reuse.POOL else None
        self._identities: dict[str, ClientIdentity] = {}

    def identity(self, client: Client, sharers: int) -> ClientIdentity:
        """That client with its credential, shared by all that are it. sharers: so many different ones there are.

        Raises BadInputError for a credential that cannot be read.
        """
        found = self._identities.get(client.id)
        if found is None:
            found = self._identities[client.id] = self._run.identity(client)
            if found.minter is not None:
                self._sign_ahead(found, FOR_ALL if sharers == 1 else FOR_ONE)
        return found

    def pooled(self) -> Holding | None:
        """The next holding of the pool; None where each client has its own."""
        return next(self._pool) if self._pool is not None else None

    def minted(self, genuine: str) -> Lookahead:
        """Fresh access tokens like the genuine one. The target has a signer."""
        if self._minted is None:
            assert self._run.signer is not None
            self._minted = self._lookahead(self._run.signer.key.alg, like(genuine, self._run.signer))
            self._minted.begin()
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
        for signers in self._signers.values():
            signers.close()

    def _sign_ahead(self, identity: ClientIdentity, bounds: Depth) -> None:
        minter = identity.minter
        assert minter is not None
        own = self._lookahead(minter.key.alg, lambda: identity.sign_assertion(time.time()), bounds)
        own.begin()
        about: dict[str, Lookahead] = {}

        def take(subject: str) -> str:
            if not subject:
                return own.take()
            if subject not in about:
                about[subject] = self._lookahead(
                    minter.key.alg, lambda: identity.sign_assertion(time.time(), subject), FOR_ONE
                )
            return about[subject].take()

        identity.signed_ahead = take

    def _lookahead(self, alg: Algorithm, sign: Callable[[], str], bounds: Depth = FOR_ALL) -> Lookahead:
        most = threads_for(alg, self._processes)
        if most not in self._signers:
            self._signers[most] = Signers(most, yielding=self._processes < (os.cpu_count() or 1))
        ahead = Lookahead(sign, self._signers[most], bounds)
        self._lookaheads.append(ahead)
        return ahead
