"""The agent ends every lease in time, also while another fault's apply or undo hangs."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from jwtdrill.errors import BadInputError
from jwtdrill.faults import agent as agents
from jwtdrill.faults.agent import Agent, Books
from jwtdrill.faults.control import application
from jwtdrill.faults.fault import Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.journal import Journal
from jwtdrill.faults.proxy import Listener
from jwtdrill.faults.route import Route
from jwtdrill.processes.supervisor import free_port

TOKEN = "control"


class Hangs(IssuerAdmin):
    """An issuer that never says which keys it has."""

    async def keys(self) -> list[dict[str, str]]:
        await asyncio.sleep(60)
        return []

    async def step(self, step: str, kid: str = "") -> str:
        return kid


class Control:
    """Speaks to an agent without a socket."""

    def __init__(self, agent: Agent) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(application(agent, TOKEN)),
            base_url="http://x",
            headers={"Authorization": f"Bearer {TOKEN}", "Jwtdrill-Actor": "somebody"},
        )

    async def begin(self, fault: str, lease: Any, **params: object) -> httpx.Response:
        return await self._client.post("/leases", json={"fault": fault, "lease": lease, "params": params})

    async def active(self) -> list[str]:
        return [lease["fault"] for lease in (await self._client.get("/leases")).json()["leases"]]

    async def end(self, lease_id: str) -> httpx.Response:
        return await self._client.delete(f"/leases/{lease_id}")

    async def gauge(self, fault: str) -> str:
        text = (await self._client.get("/metrics")).text
        return next(line.split()[-1] for line in text.splitlines() if f'{{fault="{fault}"}}' in line)

    async def post(self, path: str) -> httpx.Response:
        return await self._client.post(path)


Check = Callable[[Control, Path], Awaitable[None]]


def books(folder: Path) -> Books:
    return Books(folder / "faults.json", Journal(folder / "journal.jsonl", "test"))


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def run(check: Check, tmp_path: Path) -> None:
    async def main() -> None:
        route = Route("jwks", "http://127.0.0.1:1")
        listener = Listener(free_port(), [route])
        await listener.open()
        clock = tmp_path / "b.clock"
        agent = Agent(Site({"jwks": route}, {"b": clock}, Hangs("http://x", "t")), books(tmp_path))
        watcher = asyncio.create_task(agent.watch())
        await check(Control(agent), clock)
        watcher.cancel()
        await listener.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_lease_ends_in_time_while_another_fault_is_still_being_applied(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        began = time.monotonic()
        await control.begin("clock.skew", 0.5, clock="b", seconds=60)
        assert clock.read_text() == "+60\n"
        rotating = asyncio.create_task(control.begin("keys.rotate_without_overlap", 3))
        while clock.read_text() != "+0\n":
            await asyncio.sleep(0.02)
        assert time.monotonic() - began < 1.5
        assert not rotating.done()
        assert (await rotating).status_code == 400
        assert await control.active() == []

    run(check, tmp_path)


def test_an_undo_that_fails_is_tried_again_until_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_RETRY_SECONDS", 0.05)

    async def check(control: Control, clock: Path) -> None:
        await control.begin("clock.skew", 0.3, clock="b", seconds=60)
        clock.unlink()
        clock.mkdir()  # a folder in the file's place: the undo cannot write
        await asyncio.sleep(0.8)
        assert await control.active() == ["clock.skew"]
        assert await control.gauge("clock.skew") == "1.0"
        clock.rmdir()
        while await control.active():
            await asyncio.sleep(0.02)
        assert clock.read_text() == "+0\n"
        assert await control.gauge("clock.skew") == "0.0"

    run(check, tmp_path)


def test_an_end_that_comes_late_does_not_touch_the_next_fault(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        first = (await control.begin("jwks.status", 5)).json()["id"]
        await control.end(first)
        await control.begin("jwks.status", 5)
        await control.end(first)
        assert await control.active() == ["jwks.status"]
        assert await control.gauge("jwks.status") == "1.0"

    run(check, tmp_path)


@pytest.mark.parametrize("lease", [0, -1, 1e9, True, "long", None])
def test_a_lease_of_a_wrong_length_touches_nothing(tmp_path: Path, lease: Any) -> None:
    async def check(control: Control, clock: Path) -> None:
        assert (await control.begin("clock.skew", lease, clock="b", seconds=60)).status_code == 400
        assert not clock.exists()
        assert await control.active() == []

    run(check, tmp_path)


def test_what_was_in_force_when_an_agent_was_killed_the_next_one_undoes(tmp_path: Path) -> None:
    clock = tmp_path / "b.clock"

    async def killed() -> None:
        agent = Agent(Site(clocks={"b": clock}), books(tmp_path))
        await agent.begin("clock.skew", {"clock": "b", "seconds": 60}, 60, "somebody")
        assert clock.read_text() == "+60\n"

    async def started_again() -> None:
        agent = Agent(Site(clocks={"b": clock}), books(tmp_path))
        watcher = asyncio.create_task(agent.watch())
        while agent.active():
            await asyncio.sleep(0.02)
        watcher.cancel()

    asyncio.run(asyncio.wait_for(killed(), 10))
    asyncio.run(asyncio.wait_for(started_again(), 10))
    assert clock.read_text() == "+0\n"
    assert books(tmp_path).read_notes() == []
    assert [line["action"] for line in journal(tmp_path)] == [
        "begin",
        "found in force after the agent was killed",
        "end",
    ]


def test_an_agent_that_is_killed_again_while_it_reads_its_notes_loses_none_of_them(tmp_path: Path) -> None:
    clocks = {name: tmp_path / f"{name}.clock" for name in "bc"}

    async def killed() -> None:
        agent = Agent(Site(clocks=clocks), books(tmp_path))
        for name in clocks:
            await agent.begin("clock.skew", {"clock": name, "seconds": 60}, 60, "somebody")

    class Killed(Books):
        def read_notes(self) -> list[tuple[str, dict[str, Any]]]:
            first, second = super().read_notes()
            return [first, ("the one at which it was killed", {}), second]

    asyncio.run(asyncio.wait_for(killed(), 10))
    with pytest.raises(BadInputError):
        Agent(Site(clocks=clocks), Killed(tmp_path / "faults.json", Journal(tmp_path / "journal.jsonl", "test")))
    assert [params["clock"] for _, params in books(tmp_path).read_notes()] == ["b", "c"]


def test_stopped_ends_all_and_lets_none_begin_until_resumed_also_after_a_new_start(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        await control.begin("clock.skew", 30, clock="b", seconds=60)
        await control.begin("jwks.status", 30)
        assert (await control.post("/stop")).is_success
        assert await control.active() == []
        assert clock.read_text() == "+0\n"
        for _ in range(2):
            refused = await control.begin("jwks.status", 30)
            assert refused.status_code == 409
            assert refused.json()["error"].startswith("stopped by somebody: no fault may begin before `jwtdrill resume")
            control = Control(Agent(Site({}, {"b": clock}), books(tmp_path)))
        assert (await control.post("/resume")).is_success
        assert (await control.begin("clock.skew", 30, clock="b", seconds=1)).is_success

    run(check, tmp_path)


def test_every_action_is_in_the_journal_with_time_actor_and_target(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        first = (await control.begin("clock.skew", 30, clock="b", seconds=60)).json()["id"]
        await control.end(first)
        await control.begin("jwks.status", 0.2)
        while await control.active():
            await asyncio.sleep(0.02)

    run(check, tmp_path)
    assert [(line["action"], line["fault"], line["actor"], line.get("why")) for line in journal(tmp_path)] == [
        ("begin", "clock.skew", "somebody", None),
        ("end", "clock.skew", "somebody", "asked to"),
        ("begin", "jwks.status", "somebody", None),
        ("end", "jwks.status", "fault agent", "its lease ran out"),
    ]
    assert {line["target"] for line in journal(tmp_path)} == {"test"}
    assert all(line["time"].endswith("+00:00") for line in journal(tmp_path))


def test_without_a_journal_nothing_is_broken(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        (tmp_path / "journal.jsonl").mkdir()
        refused = await control.begin("clock.skew", 30, clock="b", seconds=60)
        assert refused.status_code == 400
        assert "the journal" in refused.json()["error"]
        assert clock.read_text() == "+0\n"

    run(check, tmp_path)


def test_two_faults_of_one_place_do_not_meet_and_two_of_one_route_lie_one_upon_another(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        assert (await control.begin("clock.skew", 30, clock="b", seconds=1)).is_success
        refused = await control.begin("clock.skew", 30, clock="b", seconds=2)
        assert (refused.status_code, refused.json()["error"]) == (409, "clock.skew is in force: end it first")
        for _ in range(2):
            assert (await control.begin("jwks.latency", 30, seconds=0.1)).is_success
        one = (await control.begin("jwks.status", 30)).json()["id"]
        await control.begin("jwks.status", 30)
        await control.end(one)
        assert await control.gauge("jwks.status") == "1.0"

    run(check, tmp_path)


def test_a_claim_keeps_the_next_drill_away(tmp_path: Path) -> None:
    async def check(control: Control, clock: Path) -> None:
        claim = (await control.begin("drill.claim", 30, by="F9 by somebody")).json()["id"]
        refused = await control.begin("drill.claim", 30, by="another")
        assert refused.status_code == 409
        assert refused.json()["error"] == "another drill is under way: F9 by somebody"
        await control.end(claim)
        assert (await control.begin("drill.claim", 30, by="another")).is_success

    run(check, tmp_path)
