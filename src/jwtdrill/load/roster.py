"""Which client of the target file each simulated client is: by weight, and each of many in its turn."""

from collections.abc import Callable

from jwtdrill.target.model import Client, Target


class Roster:
    """The clients that a kind of simulated client can be. Where none has a weight, the first of them is all."""

    def __init__(self, target: Target, suits: Callable[[Client], bool]) -> None:
        able = [client for client in target.client if suits(client)]
        self.clients = [client for client in able if client.weight is not None] or able[:1]
        self._turns = _interleaved([client.weight or 1 for client in self.clients])

    def client(self, number: int) -> Client:
        """That of the simulated client of this number, from 0. There must be one at all."""
        cycle, place = divmod(number, len(self._turns))
        turn = self._turns[place]
        described = self.clients[turn]
        before = cycle * self._turns.count(turn) + self._turns[:place].count(turn)
        return described.numbered(before % described.count + 1)

    @property
    def size(self) -> int:
        """How many different clients there are."""
        return sum(client.count for client in self.clients)


def _interleaved(weights: list[int]) -> list[int]:
    """Indices as often as their weights, well spread, so that a few simulated clients are a fair sample already."""
    debts = [0] * len(weights)
    turns = []
    for _ in range(sum(weights)):
        debts = [debt + weight for debt, weight in zip(debts, weights, strict=True)]
        turn = debts.index(max(debts))
        debts[turn] -= sum(weights)
        turns.append(turn)
    return turns
