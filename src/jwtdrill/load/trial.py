"""Makes the trials of a search for capacity: Locust as users run it, in processes that end with ours."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from jwtdrill.catalog.objectives import Indicator, Objective, objectives
from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.load.capacity import Trial, trial_seconds
from jwtdrill.load.files import RUN_FILE, read_run
from jwtdrill.load.verdict import CALL, TOKEN_FLOWS, Outcome
from jwtdrill.processes.paths import shipped
from jwtdrill.processes.supervisor import Spec, Supervisor
from jwtdrill.target.load import tls_context
from jwtdrill.target.model import Target

# Flow: locustfile, and the class of clients in it.
FLOWS = {
    "call": ("verification.py", "Verification"),
    "client_credentials": ("issuance.py", "ClientCredentialsIssuance"),
    "jwt_bearer": ("issuance.py", "JwtBearerIssuance"),
}
_SLACK = 1.1  # Poisson arrivals may be somewhat more than were planned
_SPARE_SECONDS = 60.0  # for a trial to start and to end
_CPU = "process_cpu_seconds"


class Trials:
    """Tries rates of one flow against one target, in `folder`."""

    def __init__(
        self, target: Target, flow: str, folder: Path, *, users: int, processes: int, say: Callable[[str], None]
    ) -> None:
        if flow not in FLOWS:
            raise BadInputError(f"unknown flow {flow!r}: choose from {', '.join(FLOWS)}")
        self._target = target
        self._flow = flow
        self._folder = folder
        self._users = users
        self._processes = processes
        self._say = say
        self._objectives = _of(flow, objectives(target.objectives_path))
        self._tokens = target.limits.tokens
        self.why_no_more = ""

    def measure(self, rate: float) -> Trial | None:
        """One trial; None where the target file's limit of tokens leaves none. Raises MissingPartError."""
        seconds = trial_seconds(rate, self._objectives)
        needed = (seconds * rate * _SLACK if self._flow in TOKEN_FLOWS else 0) + self._users
        if needed > self._tokens:
            self.why_no_more = f"tokens under [limits]: {self._tokens:,} are left, {needed:,.0f} are needed"
            return None
        before = self._cpu()
        began = time.monotonic()
        content = self._run(rate, seconds)
        lasted = time.monotonic() - began
        after = self._cpu()
        tallies = content["tallies"]
        self._tokens -= sum(tally["count"] for tally in tallies if tally["flow"] in TOKEN_FLOWS)
        trial = Trial(
            rate=rate,
            seconds=lasted,
            outcome=Outcome(content["outcome"]),
            answers=sum(tally["count"] for tally in tallies if tally["flow"] == self._flow),
            failed=[row["name"] for row in content["objectives"] if not row["held"]],
            problems=content["problems"],
            cpu=after - before if before is not None and after is not None else None,
        )
        why = ", ".join(trial.failed if trial.outcome is Outcome.VIOLATED else trial.problems)
        self._say(f"{rate:8,.1f}/s  {trial.outcome}{f': {why}' if why else ''}")
        return trial

    def _run(self, rate: float, seconds: float) -> dict[str, Any]:
        file, clients = FLOWS[self._flow]
        results = self._folder / RUN_FILE
        results.unlink(missing_ok=True)
        argv: list[str | Path] = [
            *(sys.executable, "-m", "locust", "-f", shipped("loadtests") / file, clients),
            *("--headless", "--only-summary", "-u", str(self._users), "-r", str(self._users)),
            *("-t", f"{seconds:.0f}s", "--rate", f"{rate:g}", "--target", self._target.path),
            *("--metrics-port", "0", "--report", results, "--stop-lost", f"{seconds * rate:.0f}"),
        ]
        if self._processes > 1:
            argv += ["--processes", str(self._processes)]
        with Supervisor(self._folder) as supervisor:
            supervisor.start(Spec("locust", argv))
            supervisor.process("locust").wait(seconds + _SPARE_SECONDS)
            if not results.exists():
                raise MissingPartError(f"the trial left no result: {supervisor.log('locust')}")
        return read_run(results).content

    def _cpu(self) -> float | None:
        """Seconds of CPU that the processes behind this flow have used, where all say."""
        if self._flow in TOKEN_FLOWS:
            urls: Sequence[str | None] = [self._target.issuer.metrics]
        else:
            urls = [resource.metrics for resource in self._target.resource]
        total = 0.0
        for url in urls:
            used = _cpu_of(url, self._target) if url else None
            if used is None:
                return None
            total += used
        return total


def _cpu_of(url: str, target: Target) -> float | None:
    try:
        text = httpx.get(url, verify=tls_context(target), timeout=5).raise_for_status().text
        families = list(text_string_to_metric_families(text))
    except (httpx.HTTPError, ValueError):
        return None
    return next((sample.value for family in families if family.name == _CPU for sample in family.samples), None)


def _of(flow: str, wanted: Sequence[Objective]) -> list[Objective]:
    issuance = (Indicator.ISSUANCE_SUCCESS, Indicator.ISSUANCE_LATENCY)
    verification = (Indicator.VERIFICATION_SUCCESS, Indicator.VERIFICATION_LATENCY)
    others = issuance if flow == CALL else verification
    return [objective for objective in wanted if objective.indicator not in others]
