"""The agent ends every lease in time, also while another fault's apply or undo hangs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from jwtdrill.faults import agent as agents
from jwtdrill.faults.agent import Agent
from jwtdrill.faults.fault import Site
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.proxy import Route
from jwtdrill.processes.supervisor import free_port

TOKEN = "control"


class Hangs(IssuerAdmin):
    """An issuer that never answers."""

    async def keys(self) -> list[dict[str, str]]:
        await asyncio.sleep(60)
        return []


class Control:
    """Speaks to an agent without a socket."""

    def __init__(self, agent: Agent) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(agent.application()),
            base_url="http://x",
            headers={"Authorization": f"Bearer {TOKEN}"},
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


Check = Callable[[Control, Path], Awaitable[None]]


def run(check: Check, tmp_path: Path) -> None:
    async def main() -> None:
        route = Route("jwks", free_port(), "http://127.0.0.1:1")
        await route.open()
        clock = tmp_path / "b.clock"
        agent = Agent(Site({"jwks": route}, {"b": clock}, Hangs("http://x", "t")), TOKEN)
        watcher = asyncio.create_task(agent.watch())
        await check(Control(agent), clock)
        watcher.cancel()
        await route.close()

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
