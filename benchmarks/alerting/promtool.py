"""Asks promtool, the real thing, what expressions are worth under rules and series."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alerting.traffic import STEP, Array, Series
from jwtdrill.catalog.promql import promql_duration
from jwtdrill.errors import MissingPartError
from jwtdrill.processes.programs import require_program

_NEVER = -1.5e300  # expected of every expression, so that promtool tells what it got
_GOT = re.compile(r"^ +expr: .*\n +exp: ?.*\n +got: ?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """An expression of at most one sample, without labels, at that step."""

    expr: str
    step: int


def ask(
    rules: Mapping[str, Any], series: Iterable[Series], questions: Sequence[Question], folder: Path, step: float = STEP
) -> list[float | None]:
    """Each expression's value; None: it has none. Rules are evaluated at each step, of so many seconds."""
    interval = promql_duration(step)
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, and quick to write.
    (folder / "rules.yml").write_text(json.dumps(rules))
    test = {
        "interval": interval,
        "input_series": [{"series": _named(one), "values": notation(one.values)} for one in series],
        "promql_expr_test": [
            {"expr": one.expr, "eval_time": promql_duration(one.step * step), "exp_samples": [{"value": _NEVER}]}
            for one in questions
        ],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": [test]}))
    done = subprocess.run(
        [require_program("promtool"), "test", "rules", path], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    found = _GOT.findall(said)
    if len(found) != len(questions):
        raise MissingPartError(f"promtool answers {len(found)} of {len(questions)} questions: {said[-2000:]}")
    return [None if got.strip('"') == "nil" else float(got.strip('"').rpartition(" ")[2]) for got in found]


def made_of(rules: Mapping[str, Any], exprs: Iterable[str]) -> list[dict[str, Any]]:
    """Of these rules those that record what the expressions read, and what those read."""
    kept: list[dict[str, Any]] = []
    read = list(exprs)
    for rule in reversed([rule for group in rules["groups"] for rule in group["rules"] if "record" in rule]):
        if any(re.search(rf"{rule['record']}(?![:\w])", expr) for expr in read):
            kept.insert(0, rule)
            read.append(rule["expr"])
    return kept


def without_texts(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same without annotations, whose templates ask much at each step."""
    return {
        "groups": [
            {**group, "rules": [{key: rule[key] for key in rule if key != "annotations"} for rule in group["rules"]]}
            for group in rules["groups"]
        ]
    }


def notation(values: Array) -> str:
    """In promtool's: absence is an underscore, and begins with a mark, as where a scrape fails or a target goes."""
    there = ~np.isnan(values)
    gone = ~there & np.concatenate([[False], there[:-1]])
    words = np.where(gone, "stale", "_").tolist()
    for step in np.flatnonzero(there):
        words[step] = f"{values[step]:.15g}"
    return " ".join(words)


def _named(series: Series) -> str:
    labels = ", ".join(f"{name}={json.dumps(value)}" for name, value in series.labels.items())
    return f"{series.metric}{{{labels}}}"
