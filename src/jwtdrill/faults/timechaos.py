"""A wrong clock on Kubernetes: the TimeChaos object by which Chaos Mesh moves the clock of a pod's processes.

Its `duration` is its lease: Chaos Mesh sets the clock right when it is over, whatever became of whoever applied it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from jwtdrill.errors import BadInputError
from jwtdrill.faults.clock.base import MOST_OFFSET
from jwtdrill.faults.lease import LONGEST_FAULT

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"[+-]?(?:{_AMOUNT.pattern})+", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)  # RFC 1123, as Kubernetes has it
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?(?=.)" + _LABEL_VALUE.pattern, re.ASCII)


class PodMode(StrEnum):
    """Which of the pods that the labels select."""

    ONE = "one"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TimeChaos:
    """Whose clock is moved, by how much and for how long. Raises BadInputError for what has no bound or is malformed.

    offset, duration: as Chaos Mesh writes them, such as `-30s` or `1m30s`; containers: of the pod, all without any.
    """

    offset: str
    duration: str
    namespace: str
    labels: Mapping[str, str]
    mode: PodMode = PodMode.ONE
    containers: tuple[str, ...] = ()
    name: str = "jwtdrill-clock"

    def __post_init__(self) -> None:
        if not 0 < abs(seconds_of(self.offset)) <= MOST_OFFSET:
            raise BadInputError(f"offset {self.offset}: a clock is moved by at most {MOST_OFFSET:g} s, and not by none")
        if not 0 < seconds_of(self.duration) <= LONGEST_FAULT:
            raise BadInputError(f"duration {self.duration}: a fault ends by itself, after {LONGEST_FAULT:g} s at most")
        for what in (self.namespace, self.name, *self.containers):
            if not _NAME.fullmatch(what):
                raise BadInputError(f"{what!r} is no name of Kubernetes: lower-case letters, digits and hyphens")
        if not self.labels:
            raise BadInputError("say which pods by a label: the clocks of a whole namespace are too many")
        for key, value in self.labels.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                raise BadInputError(f"{key}={value}: is no label of Kubernetes")

    def manifest(self) -> dict[str, Any]:
        """The object (chaos-mesh.org/v1alpha1)."""
        return {
            "apiVersion": "chaos-mesh.org/v1alpha1",
            "kind": "TimeChaos",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "mode": self.mode.value,
                "selector": {"namespaces": [self.namespace], "labelSelectors": dict(self.labels)},
                **({"containerNames": list(self.containers)} if self.containers else {}),
                "timeOffset": self.offset,
                "clockIds": ["CLOCK_REALTIME"],  # time-outs count on the monotonic clock, which stays right
                "duration": self.duration,
            },
        }

    def to_yaml(self) -> str:
        """For `kubectl apply -f -`."""
        return yaml.safe_dump(self.manifest(), sort_keys=False)


def seconds_of(duration: str) -> float:
    """Seconds that a duration of Go's stands for. Raises BadInputError when it is none."""
    if not _DURATION.fullmatch(duration):
        raise BadInputError(f"{duration!r} is no duration: write 90s, 1m30s, -500ms")
    sign = -1 if duration.startswith("-") else 1
    return sign * sum(float(amount) * _UNITS[unit] for amount, unit in _AMOUNT.findall(duration))
