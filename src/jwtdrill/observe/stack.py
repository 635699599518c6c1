"""A Prometheus and an Alertmanager of our own on loopback, with the built rules and a fresh data folder."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from jwtdrill.catalog.metrics import ENVIRONMENT
from jwtdrill.catalog.objectives import Objective
from jwtdrill.catalog.promql import promql_duration
from jwtdrill.errors import MissingPartError
from jwtdrill.observe.files import to_yaml
from jwtdrill.observe.routes import Receivers, alertmanager_config
from jwtdrill.observe.rules import rule_file
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.programs import require_program
from jwtdrill.processes.supervisor import Spec, Supervisor

_READY_SECONDS = 30.0
_NAMES = ("alertmanager", "prometheus")


@dataclass(frozen=True, slots=True)
class Scrape:
    """What Prometheus reads: job name, `host:port` and path."""

    job: str
    address: str
    path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Stack:
    """Where it runs. receivers: None where nobody is told. without_alerts: names of those left out of the rules."""

    folder: Path
    prometheus_port: int
    alertmanager_port: int
    scale: TimeScale
    receivers: Receivers | None = None
    without_alerts: tuple[str, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def alertmanager(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.alertmanager_port}"

    @property
    def file_sd(self) -> Path:
        """The folder of files with more scrape targets."""
        return self.folder / "scrape.d"

    def write(self, objectives: Sequence[Objective], scrapes: Sequence[Scrape], environment: str) -> None:
        """Write the configuration of both."""
        self.file_sd.mkdir(parents=True, exist_ok=True)
        rules = rule_file(objectives, self.scale)
        for group in rules["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in self.without_alerts]
        (self.folder / "rules.yml").write_text(to_yaml(rules))
        (self.folder / "alertmanager.yml").write_text(
            to_yaml(alertmanager_config(objectives, self.scale, self.receivers))
        )
        (self.folder / "prometheus.yml").write_text(to_yaml(self._config(scrapes, environment)))

    def start(self, supervisor: Supervisor) -> None:
        """Start both with empty data, and wait until they scrape and know each other. Raises MissingPartError."""
        for name in _NAMES:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        supervisor.start(
            Spec(
                "alertmanager",
                [
                    require_program("prometheus-alertmanager"),
                    f"--config.file={self.folder / 'alertmanager.yml'}",
                    f"--storage.path={self.folder / 'alertmanager'}",
                    f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
                    "--cluster.listen-address=",  # else it opens a second port, on all addresses
                    "--log.level=warn",
                ],
                ready=f"{self.alertmanager}/-/ready",
            ),
            Spec(
                "prometheus",
                [
                    require_program("prometheus"),
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
                    "--rules.alert.resend-delay=2s",  # what fires before it knows the Alertmanager is sent again soon
                    "--log.level=warn",
                ],
                ready=f"{self.prometheus}/-/ready",
            ),
        )
        self._wait_until_watching()

    def stop(self, supervisor: Supervisor) -> None:
        """Stop both."""
        supervisor.stop(*_NAMES)

    def _wait_until_watching(self) -> None:
        """Prometheus hands its targets out on a tick of five seconds; before that it sees and tells nothing."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._watching():
                return
            time.sleep(0.2)
        raise MissingPartError(f"Prometheus at {self.prometheus} did not begin to scrape within {_READY_SECONDS:g} s")

    def _watching(self) -> bool:
        try:
            managers = httpx.get(f"{self.prometheus}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
            targets = httpx.get(f"{self.prometheus}/api/v1/targets?state=active").json()["data"]["activeTargets"]
        except (httpx.HTTPError, ValueError, KeyError):
            return False
        return bool(managers) and bool(targets) and all(target["health"] == "up" for target in targets)

    def _config(self, scrapes: Sequence[Scrape], environment: str) -> dict[str, Any]:
        interval = promql_duration(self.scale.interval)
        labels = {ENVIRONMENT: environment}
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(self.folder / "rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager_port}"]}]}]},
            "scrape_configs": [
                *(
                    {
                        "job_name": s.job,
                        "metrics_path": s.path,
                        "static_configs": [{"targets": [s.address], "labels": labels}],
                    }
                    for s in scrapes
                ),
                {
                    "job_name": "jwtdrill",
                    "file_sd_configs": [{"files": [str(self.file_sd / "*.yml")]}],
                    "relabel_configs": [{"target_label": ENVIRONMENT, "replacement": environment}],
                },
            ],
        }
