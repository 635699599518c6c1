"""Which client each simulated client is: by weight, each of many in its turn, and never one that does not suit."""

from collections import Counter
from typing import Any

from jwtdrill.load.roster import Roster
from jwtdrill.target.model import Client, Target


def target(*clients: dict[str, Any]) -> Target:
    described = [{"auth": "none", **client} for client in clients]
    return Target.model_validate({"environment": "test", "issuer": {"url": "http://idp"}, "client": described})


def anybody(client: Client) -> bool:
    return True


def test_without_weights_the_first_that_suits_is_all_of_them() -> None:
    roster = Roster(target({"id": "a", "dpop": True}, {"id": "b"}, {"id": "c"}), lambda client: not client.dpop)
    assert {roster.client(number).id for number in range(10)} == {"b"}
    assert roster.size == 1


def test_clients_come_as_often_as_their_weights_and_well_mixed() -> None:
    roster = Roster(target({"id": "a", "weight": 3}, {"id": "b", "weight": 1}, {"id": "c"}), anybody)
    assert Counter(roster.client(number).id for number in range(400)) == {"a": 300, "b": 100}
    assert {roster.client(number).id for number in range(4)} == {"a", "b"}


def test_each_of_thousands_has_its_own_id_and_key_before_one_comes_again() -> None:
    many = {"id": "job-{n}", "auth": "private_key_jwt", "key": "file:keys/{n}.pem", "count": 3000, "weight": 2}
    roster = Roster(target(many, {"id": "other", "weight": 1}), anybody)
    taken = [roster.client(number) for number in range(4500)]
    jobs = [client for client in taken if client.id != "other"]
    assert {client.id for client in jobs} == {f"job-{number}" for number in range(1, 3001)}
    assert all(client.key == f"file:keys/{client.id.removeprefix('job-')}.pem" for client in jobs)
    assert roster.client(4500).id == "job-1"
    assert roster.size == 3001
