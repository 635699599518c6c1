"""What an attack found, for people and for machines: JSON, and JUnit's XML for CI."""

from collections import Counter
from typing import Any
from xml.etree import ElementTree

from jwtdrill.probe.attack import Assault, Attempt, Outcome
from jwtdrill.tokens.cases import Severity

_ORDER = {severity: number for number, severity in enumerate(Severity)}


def in_order(attempts: list[Attempt]) -> list[Attempt]:
    """The worst first."""
    return sorted(attempts, key=lambda a: (_ORDER[a.case.severity], a.place, a.case.family, a.case.id))


def not_run(assault: Assault) -> Counter[tuple[str, str]]:
    """How many cases were not run, by place and reason."""
    return Counter((attempt.place, attempt.note) for attempt in assault.of(Outcome.NOT_RUN))


def to_json(assault: Assault, target: str) -> dict[str, Any]:
    """All of it. Holds no token: those of the corpus are made from genuine ones."""
    return {
        "held": assault.held,
        "seconds": round(assault.seconds, 2),
        "findings": [_entry(a, target) for a in in_order(assault.bad)],
        "cannot_tell": assault.untold,
        "remarks": [_entry(a, target) for a in in_order(assault.of(Outcome.REMARK))],
        "not_run": [{"resource": a.place, "case": a.case.id, "reason": a.note} for a in assault.of(Outcome.NOT_RUN)],
        "challenges": [
            {"resource": place, "said": said, "expected": expected, "count": count}
            for (place, said, expected), count in sorted(odd_challenges(assault).items())
        ],
        "tallies": assault.tallies(),
    }


def odd_challenges(assault: Assault) -> Counter[tuple[str, str, str]]:
    """How often a challenge had another error code than the RFCs have for the case, by place: a remark, no more."""
    return Counter((a.place, *a.challenge) for a in assault.attempts if a.challenge is not None)


def repeat(attempt: Attempt, target: str) -> str:
    """The command that does it again."""
    return f"jwtdrill attack {target} --case {attempt.case.id}"


def _entry(attempt: Attempt, target: str) -> dict[str, Any]:
    return {
        "resource": attempt.place,
        "case": attempt.case.id,
        "family": attempt.case.family,
        "outcome": attempt.outcome,
        "severity": attempt.case.severity,
        "attacks": attempt.case.attacks,
        "source": attempt.case.source,
        "expected": attempt.case.expected,
        "verdict": attempt.verdict,
        "reason": attempt.case.reason,
        "status": attempt.status,
        "note": attempt.note,
        "request": attempt.request,
        "repeat": repeat(attempt, target),
    }


def to_junit(assault: Assault, target: str) -> bytes:
    """A suite for each place, a test for each case. What cannot be told is an error, what was not run is skipped."""
    root = ElementTree.Element("testsuites", name="jwtdrill attack")
    for place in dict.fromkeys(attempt.place for attempt in assault.attempts):
        attempts = [attempt for attempt in assault.attempts if attempt.place == place]
        counts = Counter(attempt.outcome for attempt in attempts)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=place,
            tests=str(len(attempts)),
            failures=str(sum(count for outcome, count in counts.items() if outcome.bad)),
            errors=str(counts[Outcome.CANNOT_TELL]),
            skipped=str(counts[Outcome.NOT_RUN]),
        )
        for attempt in attempts:
            _test(suite, attempt, target)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _test(suite: ElementTree.Element, attempt: Attempt, target: str) -> None:
    test = ElementTree.SubElement(suite, "testcase", classname=attempt.case.family, name=attempt.case.id)
    if attempt.outcome.bad:
        text = f"{attempt.case.source}\n{attempt.request}\n{repeat(attempt, target)}"
        failure = ElementTree.SubElement(test, "failure", type=attempt.outcome, message=attempt.note)
        failure.text = text
    elif attempt.outcome is Outcome.CANNOT_TELL:
        ElementTree.SubElement(test, "error", type=attempt.outcome, message=attempt.note)
    elif attempt.outcome is Outcome.NOT_RUN:
        ElementTree.SubElement(test, "skipped", message=attempt.note)
    elif attempt.note:
        ElementTree.SubElement(test, "system-out").text = attempt.note
