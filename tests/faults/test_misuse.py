"""Bad traffic as a fault: it is checked before anything is sent, ends with its undo, and never outlives the agent."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.probe.misused import Misused, serving

from jwtdrill.errors import BadInputError, JwtdrillError
from jwtdrill.faults.client import FaultClient
from jwtdrill.faults.fault import Sending, Site
from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.faults.registry import FAULTS, make_fault
from jwtdrill.flows.misuse import KINDS
from jwtdrill.processes.supervisor import free_port

OF_TRAFFIC = {name: kind for name, kind in FAULTS.items() if issubclass(kind, MisuseFault)}


@pytest.fixture(scope="module")
def misused() -> Iterator[Misused]:
    with serving(Misused()) as served:
        yield served


def site(misused: Misused, folder: Path, without: str = "", **changes: str) -> Site:
    return Site(target=misused.target_file(folder, without, **changes), folder=folder)


def params(name: str) -> dict[str, Any]:
    return {"seconds": 600} if name == "clock.skewed_claims" else {}


def traffic(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if "jwtdrill.probe.traffic" in line and str(folder) in " ".join(line):
            found += [process] if process.info["status"] != psutil.STATUS_ZOMBIE else []
    return found


def until(condition: Callable[[], bool], seconds: float = 10) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def test_each_kind_of_traffic_is_a_fault() -> None:
    assert {kind.kind for kind in OF_TRAFFIC.values()} == set(KINDS)


@pytest.mark.parametrize("name", OF_TRAFFIC)
def test_the_dry_run_passes_where_all_is_there_and_sends_nothing(misused: Misused, tmp_path: Path, name: str) -> None:
    before = misused.asked.total() + misused.granted.total()
    make_fault(name, params(name)).check(site(misused, tmp_path))
    assert misused.asked.total() + misused.granted.total() == before


@pytest.mark.parametrize(
    ("name", "given", "without", "changes", "message"),
    [
        ("misuse.over_scoped", {}, "[[signer]]", {}, "add [[signer]] with key, kid and alg"),
        ("misuse.wrong_audience", {}, "[[signer]]", {}, "add [[signer]]"),
        ("misuse.forged", {"stolen_key": True}, "[[signer]]", {}, "add [[signer]]"),
        ("misuse.forged", {"cases": "expired"}, "[[signer]]", {}, "add [[signer]]"),
        ("clock.skewed_claims", {"seconds": 600}, "[[signer]]", {}, "add [[signer]]"),
        ("clock.skewed_claims", {"seconds": 59}, "", {}, "nobody knows what a shift of 59 s"),
        ("misuse.replay", {}, "", {"one_time = true": ""}, "add one_time = true"),
        ("misuse.replay", {"resources": ["orders"]}, "", {}, "add one_time = true"),
        ("misuse.spray", {"resources": ["payments"]}, "", {}, "add one without one_time"),
        ("misuse.refresh_reuse", {"resources": ["orders"]}, "", {}, "leave resources out"),
        ("misuse.refresh_reuse", {}, "[[client]]", {}, "add refresh_token to one"),
        ("misuse.unknown_kid", {}, "[[client]]", {}, "no [[client]] of [issuer]'s"),
        ("misuse.unknown_kid", {}, "[[resource]]", {}, "no [[resource]]"),
        ("misuse.forged", {"resources": ["order"]}, "", {}, "no [[resource]] is called 'order': orders, payments"),
        ("misuse.forged", {"cases": "valid"}, "", {}, "case valid is no token that is refused"),
        ("misuse.forged", {"cases": "revoked"}, "", {}, "case revoked is no token that is refused"),
        ("misuse.forged", {"cases": "exp_absent"}, "", {}, "nobody knows what it should meet with"),
        ("misuse.forged", {"cases": "forgd"}, "", {}, "unknown case"),
        ("misuse.forged", {"rate": 501}, "", {}, "limits.rate is 500"),
        ("misuse.forged", {}, "", {'"test"': '"production"'}, "environment is production"),
    ],
)
def test_what_the_target_lacks_is_said_with_the_mend(
    misused: Misused,
    tmp_path: Path,
    name: str,
    given: dict[str, Any],
    without: str,
    changes: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(BadInputError) as error:
        make_fault(name, given).check(site(misused, tmp_path, without, **changes))
    assert message in str(error.value)


def test_an_agent_without_target_file_says_so() -> None:
    with pytest.raises(BadInputError, match="set target_file in its settings"):
        make_fault("misuse.forged", {}).check(Site())


def test_a_parameter_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"has no parameter 'rte': it has cases, rate, rejected_after, resources"):
        make_fault("misuse.forged", {"rte": 1})


def test_it_sends_until_undone_and_tells_what_it_sent(misused: Misused, tmp_path: Path) -> None:
    place = site(misused, tmp_path)
    fault = make_fault("misuse.forged", {"rate": 20})

    async def drill() -> list[dict[str, Any]]:
        await fault.apply(place)
        assert (tmp_path / "traffic-forged.yml").exists()  # scraped
        await asyncio.sleep(1.2)
        assert len(traffic(tmp_path)) == 1
        await fault.undo(place)
        assert not traffic(tmp_path)
        asked = misused.asked.total()
        await asyncio.sleep(0.3)
        assert misused.asked.total() == asked
        await fault.undo(place)
        assert isinstance(fault, Sending)
        return fault.seen()

    rows = asyncio.run(drill())
    assert 15 <= sum(row["count"] for row in rows) <= 40
    assert {(row["expected"], row["verdict"]) for row in rows} == {("rejected", "rejected")}
    assert not list(tmp_path.glob("traffic-*"))


def test_a_fresh_fault_of_the_same_parameters_ends_what_another_began(misused: Misused, tmp_path: Path) -> None:
    place = site(misused, tmp_path)

    async def drill() -> None:
        first, other, fresh = (make_fault("misuse.forged", {}) for _ in range(3))
        unrelated = make_fault("misuse.unknown_kid", {})
        await first.apply(place)
        await unrelated.apply(place)
        await fresh.undo(place)
        assert [p for p in traffic(tmp_path) if "traffic-forged" in " ".join(p.cmdline())] == []
        assert len(traffic(tmp_path)) == 1  # the other kind goes on
        assert not (tmp_path / "traffic-forged.yml").exists()
        await unrelated.undo(place)
        await other.undo(place)
        await first.undo(place)

    asyncio.run(drill())


def test_a_process_that_does_not_end_when_it_is_asked_to_is_killed(misused: Misused, tmp_path: Path) -> None:
    place = site(misused, tmp_path)
    fault = make_fault("misuse.forged", {"rate": 40})

    async def drill() -> None:
        await fault.apply(place)
        await asyncio.sleep(1.5)
        os.kill(traffic(tmp_path)[0].pid, signal.SIGSTOP)
        await asyncio.wait_for(fault.undo(place), 4)

    asyncio.run(drill())
    assert not traffic(tmp_path)
    assert isinstance(fault, Sending)
    assert fault.seen()  # up to a second before


def test_what_the_process_cannot_do_is_said_by_the_fault(misused: Misused, tmp_path: Path) -> None:
    place = site(misused, tmp_path, **{misused.url: "http://127.0.0.1:9"})

    async def drill() -> None:
        fault = make_fault("misuse.forged", {})
        try:
            with pytest.raises(BadInputError, match="the issuer gives no token"):
                await fault.apply(place)
        finally:
            await fault.undo(place)
        assert fault.seen() == []  # type: ignore[attr-defined]

    asyncio.run(drill())


class LocalAgent:
    """An agent with nothing but a target file, as a drill starts one where no proxy stands."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "token").write_text("t")
        settings = {
            "control_port": self.port,
            "control_token_file": str(folder / "token"),
            "target": "test",
            "notes_file": str(folder / "notes.json"),
            "journal_file": str(folder / "journal.jsonl"),
            "target_file": str(target),
        }
        (folder / "agent.json").write_text(json.dumps(settings))
        self.client = FaultClient(f"http://127.0.0.1:{self.port}", "t")
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jwtdrill.faults.agent", str(self.folder / "agent.json")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self.answers)
        return self.process

    def answers(self) -> bool:
        try:
            self.client.leases()
        except JwtdrillError:
            return False
        return True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.client.close()


@pytest.fixture
def agent(misused: Misused, tmp_path: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(tmp_path, misused.target_file(tmp_path / "target"))
    yield agent
    agent.end()


def test_a_local_agent_hands_the_tallies_on(agent: LocalAgent) -> None:
    held = agent.client.begin("misuse.unknown_kid", {"rate": 20}, lease=5)
    until(lambda: bool(agent.client.active()[0]["seen"]))
    with pytest.raises(BadInputError, match=r"misuse\.unknown_kid is in force"):
        agent.client.begin("misuse.unknown_kid", {}, lease=5)
    rows = held.end()
    assert {row["case"] for row in rows} == {"unknown_kid"}
    assert held.end() == rows  # asked again, the same is told
    assert not traffic(agent.folder)


def test_tallies_can_be_had_of_a_fault_whose_lease_ran_out(agent: LocalAgent) -> None:
    lease = agent.client._call("POST", "/leases", {"fault": "misuse.unknown_kid", "params": {}, "lease": 3})["id"]
    until(lambda: not agent.client.leases())
    assert not traffic(agent.folder)
    assert sum(row["count"] for row in agent.client.end(lease)) > 5


def test_an_agent_that_is_killed_takes_its_traffic_with_it(agent: LocalAgent) -> None:
    held = [agent.client.begin(name, {}, lease=60) for name in ("misuse.forged", "misuse.spray")]
    assert len(traffic(agent.folder)) == 2
    agent.kill()
    assert until(lambda: not traffic(agent.folder), 3) < 1
    assert (agent.folder / "target/traffic-forged.yml").exists()
    agent.start()
    until(lambda: not agent.client.leases())
    assert not (agent.folder / "target/traffic-forged.yml").exists()
    assert not traffic(agent.folder)
    assert [one.end() for one in held] == [[], []]


def test_a_traffic_process_that_somebody_killed_leaves_nothing_to_end(agent: LocalAgent) -> None:
    held = agent.client.begin("misuse.forged", {"rate": 40}, lease=30)
    time.sleep(1.5)
    os.kill(traffic(agent.folder)[0].pid, 9)
    assert sum(row["count"] for row in held.end()) > 10  # what was written before
    assert not agent.client.leases()


def test_where_the_traffic_cannot_begin_no_lease_is_left(agent: LocalAgent) -> None:
    (agent.folder / "target/client.pem").unlink()
    with pytest.raises(BadInputError, match=r"misuse\.forged could not be applied: .*client\.pem"):
        agent.client.begin("misuse.forged", {}, lease=5)
    assert not agent.client.leases()
    assert not traffic(agent.folder)
