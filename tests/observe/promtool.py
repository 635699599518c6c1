"""Runs rules in promtool, the real thing: series in, what is true at which time out."""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jwtdrill.processes.programs import require_program

STEP = 15  # seconds between scrapes, and between evaluations
STALE = "stale"
LABELS = 'environment="staging", issuer="https://i"'


@dataclass
class Counter:
    """A counter's values, scrape by scrape; None where there is none, and STALE where a target goes."""

    labels: str
    values: list[float | str | None] = field(default_factory=list)

    @property
    def last(self) -> float:
        """The value that it goes on from."""
        return next((value for value in reversed(self.values) if isinstance(value, float | int)), 0.0)

    def then(self, seconds: float, per_second: float) -> "Counter":
        """Go on for so long at that rate."""
        start = self.last
        for step in range(1, round(seconds / STEP) + 1):
            self.values.append(start + per_second * STEP * step)
        return self

    def every(self, seconds: float, gap: float) -> "Counter":
        """Go on for so long with one event each `gap` seconds, the first of them one gap from now."""
        start = self.last
        for step in range(1, round(seconds / STEP) + 1):
            self.values.append(start + step * STEP // gap)
        return self

    def jump(self, events: float) -> "Counter":
        """So many events before the next scrape."""
        self.values.append(self.last + events)
        return self

    def set(self, seconds: float, value: float) -> "Counter":
        """A gauge that has this value for so long."""
        self.values += [value] * round(seconds / STEP)
        return self

    def absent(self, seconds: float) -> "Counter":
        """Not there for so long."""
        self.values += [None] * round(seconds / STEP)
        return self

    def goes(self, seconds: float) -> "Counter":
        """Its target is gone for so long."""
        self.values.append(STALE)
        return self.absent(seconds - STEP)

    def reset(self, value: float = 0) -> "Counter":
        """A new process: it begins anew."""
        self.values.append(value)
        return self

    def text(self) -> str:
        """In promtool's notation, in which absence is an underscore."""
        return " ".join("_" if v is None else v if isinstance(v, str) else f"{v:.12g}" for v in self.values)


def verified(labels: str = LABELS) -> Counter:
    """Tokens verified, from zero."""
    return Counter(f'jwt_verification_total{{{labels}, result="success", reason=""}}', [0])


def refused(reason: str, labels: str = LABELS) -> Counter:
    """Tokens refused for a reason, from zero."""
    return Counter(f'jwt_verification_total{{{labels}, result="failure", reason="{reason}"}}', [0])


def canary(result: str, labels: str = LABELS, resource: str = "orders") -> Counter:
    """The canary's calls."""
    return Counter(f'jwtdrill_canary_total{{{labels}, resource="{resource}", result="{result}"}}', [0])


@dataclass(frozen=True)
class Check:
    """At that time, in seconds, the expression has that value; None: it has none."""

    at: float
    expr: str
    value: float | None


def firing(at: float, count: int, **labels: str) -> Check:
    """So many alerts with these labels fire then."""
    inside = ", ".join(f'{name}="{value}"' for name, value in {**labels, "alertstate": "firing"}.items())
    return Check(at, f"count(ALERTS{{{inside}}}) or vector(0)", count)


def run(rules: Mapping[str, Any], folder: Path, counters: Iterable[Counter], checks: Iterable[Check]) -> str:
    """What promtool finds wrong; empty where everything is as expected."""
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": one.labels, "values": one.text()} for one in counters],
                "promql_expr_test": [
                    {
                        "expr": check.expr,
                        "eval_time": f"{check.at:.0f}s",
                        "exp_samples": [{"value": check.value}] if check.value is not None else [],
                    }
                    for check in checks
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(test))
    argv = [require_program("promtool"), "test", "rules", path]
    env = {**os.environ, "GOGC": "400"}  # of memory there is enough: an eighth less time
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    return "" if done.returncode == 0 else done.stdout + done.stderr


Run = Callable[..., str]
