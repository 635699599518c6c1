"""The processes beside a drill: the canary, and Locust with one of our locustfiles."""

import sys
from pathlib import Path

from jwtdrill.drill.live import LiveLoad
from jwtdrill.processes.paths import shipped
from jwtdrill.processes.scraping import announce
from jwtdrill.processes.supervisor import Spec, Supervisor, free_port
from jwtdrill.target.model import Target

_RESULTS = "run.json"


def start_canary(supervisor: Supervisor, target: Target) -> Path:
    """Start the canary and have it scraped; returns the file that announces it."""
    port = free_port()
    supervisor.start(
        Spec(
            "canary",
            [sys.executable, "-m", "jwtdrill", "canary", str(target.path), "--port", str(port)],
            ready=f"http://127.0.0.1:{port}/metrics",
        )
    )
    return _announce(target, "canary", port)


def start_load(
    supervisor: Supervisor, target: Target, users: int, throughput: float, cases: str
) -> tuple[Path, LiveLoad]:
    """Start Locust with so many clients at once and have it scraped; returns the file that announces it, and a view."""
    port = free_port()
    supervisor.start(
        Spec(
            "load",
            [
                *(sys.executable, "-m", "locust", "-f", shipped("loadtests") / "verification.py"),
                *("--headless", "--only-summary", "-u", str(users), "-r", str(users)),
                *("--target", target.path, "--cases", cases, "--throughput", str(throughput)),
                *("--report", supervisor.folder / _RESULTS, "--metrics-port", str(port)),
            ],
            ready=f"http://127.0.0.1:{port}/metrics",
        )
    )
    return _announce(target, "load", port), LiveLoad(f"http://127.0.0.1:{port}/metrics")


def stop_load(supervisor: Supervisor, folder: Path) -> Path:
    """Stop both in order; returns the file with the load's results."""
    supervisor.stop("load")
    supervisor.stop("canary")
    return folder / _RESULTS


def _announce(target: Target, name: str, port: int) -> Path:
    if target.watch.file_sd is None:
        return Path("/nonexistent") / name  # the user's own Prometheus finds us by the user's own configuration
    return announce(target.watch.file_sd, name, port)
