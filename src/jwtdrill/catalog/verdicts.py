"""What a token should meet with, and what the target did with it."""

from enum import StrEnum
from typing import NamedTuple


class Expected(StrEnum):
    """What a correct target does with a token: known before the request leaves."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"

    __hash__ = str.__hash__  # an enumeration's own is a Python function, and answers are counted by the thousand


class Verdict(StrEnum):
    """What the target did. No status code alone is a success or a failure."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    ERRORED = "errored"

    __hash__ = str.__hash__


def held(expected: Expected, verdict: Verdict) -> bool:
    """Whether the target did what a correct one does."""
    return expected.value == verdict.value


class Tally(NamedTuple):
    """What is counted apart. Every part comes from a bounded set."""

    flow: str
    case: str
    resource: str
    expected: Expected
    verdict: Verdict

    @property
    def false_accept(self) -> bool:
        """A bad token was let in: a security failure."""
        return self.expected is Expected.REJECTED and self.verdict is Verdict.ACCEPTED

    @property
    def false_reject(self) -> bool:
        """A good token was refused: an availability failure."""
        return self.expected is Expected.ACCEPTED and self.verdict is Verdict.REJECTED
