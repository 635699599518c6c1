"""How the load fares while it runs: read each second from what it exports itself."""

import time
from collections import deque
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from jwtdrill.catalog import metrics
from jwtdrill.catalog.verdicts import Expected, Verdict

_EVERY = 1.0  # seconds
_TIMEOUT = 2.0
_WINDOW = 5  # looks, over which a share is taken
_LEAST = 50  # good calls in that window, below which a share says nothing


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers since the load began. good, failing: with good tokens, and those of them that were not accepted."""

    good: int = 0
    failing: int = 0
    false_accepts: int = 0


class LiveLoad:
    """Looks at the load's metrics at that URL, not oftener than each second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._looked = 0.0
        self._seen: deque[Counts] = deque([Counts()], maxlen=_WINDOW + 1)

    def look(self) -> None:
        """Read, if it is time. What does not answer is seen elsewhere: the load has ended, or it is busy."""
        if time.monotonic() - self._looked < _EVERY:
            return
        self._looked = time.monotonic()
        try:
            text = httpx.get(self._url, timeout=_TIMEOUT).raise_for_status().text
        except httpx.HTTPError:
            return
        self._seen.append(_counts(text))

    @property
    def false_accepts(self) -> int:
        """Bad tokens that were let in, since the load began."""
        return self._seen[-1].false_accepts

    @property
    def failing(self) -> float:
        """The share of good calls that failed in the last seconds; 0 where there were too few to say."""
        good = self._seen[-1].good - self._seen[0].good
        return (self._seen[-1].failing - self._seen[0].failing) / good if good >= _LEAST else 0.0

    @property
    def clean(self) -> bool:
        """Whether there were good calls in the last seconds, and none of them failed."""
        newest, oldest = self._seen[-1], self._seen[0]
        return len(self._seen) > _WINDOW and newest.good > oldest.good and newest.failing == oldest.failing


def _counts(text: str) -> Counts:
    good = failing = let_in = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name != metrics.REQUESTS.name or sample.labels["flow"] != "call":
                continue
            accepted = sample.labels["verdict"] == Verdict.ACCEPTED
            if sample.labels["expected"] == Expected.REJECTED:
                let_in += round(sample.value) if accepted else 0
                continue
            good += round(sample.value)
            failing += 0 if accepted else round(sample.value)
    return Counts(good, failing, let_in)
