"""The processes beside a drill: the canary, and Locust with one of our locustfiles."""

import sys
from pathlib import Path

from jwtdrill.drill.live import LiveLoad
from jwtdrill.processes.paths import shipped
from jwtdrill.processes.scraping import announce, announcement
from jwtdrill.processes.supervisor import Spec, Supervisor, free_port
from jwtdrill.target.model import Target

_RESULTS = "run.json"
CANARY, LOAD = "canary", "load"


def announcements(target: Target) -> list[Path]:
    """The files by which canary and load will be announced; none where the user's own configuration finds them."""
    folder = target.watch.file_sd
    return [] if folder is None else [announcement(folder, name) for name in (CANARY, LOAD)]


def start_canary(supervisor: Supervisor, target: Target) -> None:
    """Start the canary and have it scraped."""
    port = free_port()
    supervisor.start(
        Spec(
            CANARY,
            [sys.executable, "-m", "jwtdrill", "canary", str(target.path), "--port", str(port)],
            ready=f"http://127.0.0.1:{port}/metrics",
        )
    )
    _announce(target, CANARY, port)


def start_load(supervisor: Supervisor, target: Target, users: int, throughput: float, cases: str) -> LiveLoad:
    """Start Locust with so many clients at once and have it scraped; returns a view of it."""
    port = free_port()
    supervisor.start(
        Spec(
            LOAD,
            [
                *(sys.executable, "-m", "locust", "-f", shipped("loadtests") / "verification.py"),
                *("--headless", "--only-summary", "-u", str(users), "-r", str(users)),
                *("--target", target.path, "--cases", cases, "--throughput", str(throughput)),
                *("--report", supervisor.folder / _RESULTS, "--metrics-port", str(port)),
            ],
            ready=f"http://127.0.0.1:{port}/metrics",
        )
    )
    _announce(target, LOAD, port)
    return LiveLoad(f"http://127.0.0.1:{port}/metrics")


def stop_load(supervisor: Supervisor, folder: Path) -> Path:
    """Stop both in order; returns the file with the load's results."""
    supervisor.stop(LOAD)
    supervisor.stop(CANARY)
    return folder / _RESULTS


def _announce(target: Target, name: str, port: int) -> None:
    if target.watch.file_sd is not None:
        announce(target.watch.file_sd, name, port)
