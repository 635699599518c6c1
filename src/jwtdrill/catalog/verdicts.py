"""What a token should meet with, and what the target did with it."""

from enum import StrEnum


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
