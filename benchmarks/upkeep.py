"""What the harness costs: time of the scoreboard, memory of clients and of hours, and how it grows with workers."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Figure, paired
from benchmarks.places import HERE, LOADTESTS, QuietLab, jwtdrill_locust
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.load.scoreboard import Scoreboard

_STEP = 1.25
_MEMORY_USERS = (200, 2200)


def scoreboard(_: Path, seconds: float, pairs: int) -> list[Figure]:
    """Time to count one answer, against one sample of Locust's own statistics."""
    from locust.stats import RequestStats  # here, for it patches the process

    tally = Tally("call", "valid", "orders", Expected.ACCEPTED, Verdict.ACCEPTED)
    rounds = int(100_000 * max(1.0, seconds / 5))

    def ours() -> float:
        board = Scoreboard()
        begin = time.perf_counter()
        for number in range(rounds):
            board.add(tally, 0.01 + number % 1000 * 1e-5, ("https://idp.example", "k1"))
        assert board.total == rounds
        return (time.perf_counter() - begin) / rounds * 1e6

    def locusts() -> float:
        stats = RequestStats()
        begin = time.perf_counter()
        for number in range(rounds):
            stats.log_request("GET", "call orders valid", 10 + number % 1000 * 0.01, 20)  # type: ignore[arg-type]
        return (time.perf_counter() - begin) / rounds * 1e6

    return [paired("scoreboard, one answer", "µs", ours, "Locust's own statistics", locusts, pairs)]


def clients(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """Memory of a thousand clients that hold tokens and a connection, against as many plain FastHttpUsers."""
    with QuietLab(folder / "clients") as lab:
        target = ("--target", str(lab.target), "--metrics-port", "0", "--throughput", "0.5")
        plain = {"URL": "http://127.0.0.1:9/", "TOKEN": "x"}
        return [
            paired(
                "memory of 1,000 clients",
                "MiB",
                lambda: _per_thousand(LOADTESTS / "verification.py", seconds, target, {}),
                "plain FastHttpUser, idle",
                lambda: _per_thousand(HERE / "idle.py", seconds, (), plain),
                min(pairs, 3),
            )
        ]


def ten_minutes(folder: Path, seconds: float, _: int) -> list[Figure]:
    """Memory after ten minutes at 200 requests/s, against that after one; a sixtieth of it with --seconds 1."""
    lasts = 600 if seconds >= 2 else 10
    with QuietLab(folder / "minutes") as lab, tempfile.TemporaryDirectory() as report:
        process = _start(
            LOADTESTS / "verification.py",
            *("-u", "50", "-r", "50", "-t", f"{lasts + 5}s", "--rate", "200", "--target", str(lab.target)),
            *("--metrics-port", "0", "--report", f"{report}/run.json"),
        )
        time.sleep(lasts / 10)
        early = _memory(process.pid)
        time.sleep(lasts * 0.9)
        late = _memory(process.pid)
        process.wait()
    before = f"after {lasts / 10:g} s"
    return [paired(f"memory after {lasts} s", "MiB", lambda: late, before, lambda: early, 1, most_ratio=1.1)]


def workers(folder: Path, seconds: float, pairs: int) -> list[Figure]:
    """The highest rate at which the harness finds itself fit, with two workers against one, beside their server."""
    with QuietLab(folder / "workers", decisions=1000) as lab:
        return [
            paired(
                "highest honest rate, 2 workers",
                "requests/s",
                lambda: _highest(lab.target, seconds, "--processes", "2"),
                "1 process",
                lambda: _highest(lab.target, seconds),
                min(pairs, 3),
            )
        ]


def _highest(target: Path, seconds: float, *more: str) -> float:
    rate, last = 1000.0, 0.0
    while True:
        content = jwtdrill_locust(
            "verification",
            *(
                "-u",
                "50",
                "-r",
                "100",
                "-t",
                f"{seconds:.0f}s",
                "--rate",
                f"{rate:.0f}",
                "--target",
                str(target),
                *more,
            ),
        )
        if content["outcome"] == "invalid":
            return last or rate / _STEP
        last, rate = rate, rate * _STEP


def _per_thousand(file: Path, seconds: float, options: tuple[str, ...], env: dict[str, str]) -> float:
    seen = []
    for users in _MEMORY_USERS:
        lasts = seconds + users / 100
        process = _start(file, "-u", str(users), "-r", "200", "-t", f"{lasts + 5:.0f}s", *options, env=env)
        time.sleep(lasts)
        seen.append(_memory(process.pid))
        process.terminate()
        process.wait()
    return (seen[1] - seen[0]) / (_MEMORY_USERS[1] - _MEMORY_USERS[0]) * 1000


def _start(file: Path, *options: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    import os

    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", file, "--headless", "--only-summary", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )


def _memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 2**20)
