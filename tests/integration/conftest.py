"""Real processes on free loopback ports: a lab for a module that asks for one, and commands as users type them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from jwtdrill.faults.client import FaultClient
from jwtdrill.flows.call import Call
from jwtdrill.processes.programs import find_libfaketime, find_program
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Commands:
    """Runs programs of the environment with the lab's folder of this module."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        lab, journal = str(self.folder), str(self.journal)
        return {**os.environ, "JWTDRILL_LAB": lab, "JWTDRILL_JOURNAL": journal, "NO_COLOR": "1"}

    @property
    def journal(self) -> Path:
        """Of what was broken: not the one of whoever runs the tests."""
        return self.folder.parent / "journal.jsonl"

    def run(self, *argv: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / str(argv[0]), *map(str, argv[1:])],
            capture_output=True,
            text=True,
            check=False,
            env=self.env,
            cwd=ROOT,
            timeout=timeout,
        )

    def start(self, *argv: str | Path, piped: bool = True, own_group: bool = False) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / str(argv[0]), *map(str, argv[1:])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if piped else subprocess.DEVNULL,
            text=True,
            env=self.env,
            cwd=ROOT,
            process_group=0 if own_group else None,
        )

    @property
    def target(self) -> Path:
        return self.folder / "target.toml"


def missing_programs() -> bool:
    return find_program("prometheus") is None or find_libfaketime() is None


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands without a lab; whatever lab a test leaves is taken down."""
    made = Commands(tmp_path_factory.mktemp("state") / "lab")
    yield made
    made.run("jwtdrill", "lab", "down")


@pytest.fixture(scope="module")
def lab(commands: Commands) -> Commands:
    """A standing lab with short lifetimes, watched at sixty times the speed."""
    up = commands.run("jwtdrill", "lab", "up", "--profile", "drill", "--time-scale", "60")
    assert up.returncode == 0, up.stderr
    assert up.stdout == f"{commands.target}\n"
    return commands


@pytest.fixture(scope="module")
def target(lab: Commands) -> Target:
    """The standing lab's target."""
    return load_target(str(lab.target))


@pytest.fixture
def agent(target: Target) -> Iterator[FaultClient]:
    """The standing lab's fault agent; whatever is in force afterwards is ended."""
    client = FaultClient.of(target)
    yield client
    client.end_all()
    client.close()


def status_at(target: Target, name: str, token: str) -> int:
    """What the resource of that name answers to a token."""
    request = Call(next(r for r in target.resource if r.label == name)).request(token)
    return httpx.get(request.url, headers=dict(request.headers)).status_code


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for it; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began


def processes_naming(text: str) -> list[str]:
    """Command lines of all processes that name the text."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if text in line and process.info["pid"] != os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found
