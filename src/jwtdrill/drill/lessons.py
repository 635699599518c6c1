"""What follows from a drill: actions for somebody, and questions to discuss. One rule for each kind of finding.

A rule invents nothing: each lesson carries the figures that led to it. To add one: a function that yields lessons, and
its line in `_RULES`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from jwtdrill.catalog.alerting import Route
from jwtdrill.drill.figures import Fate, Figures, Propagation, let_in
from jwtdrill.drill.result import DrillResult
from jwtdrill.drill.words import counted, listed, number, seconds
from jwtdrill.load.verdict import Outcome

_APART = 5.0  # seconds by which places may differ before that is worth a question
_UNNOTICED = 10.0  # seconds that users may be hurt before anybody is told
_NEAR = 0.8  # share of what is allowed from which little is left
_LOOSE = 0.5  # share of what is allowed below which the bound would not notice a turn for the worse
_CACHED = ("jwks", "keys")  # places of faults whose reach depends on how long verifiers keep keys


class Owner(StrEnum):
    """Who acts: the team that an alert is routed to, or who runs the drills."""

    SECURITY = Route.SECURITY.value
    PLATFORM = Route.PLATFORM.value
    SERVICE = Route.SERVICE.value
    DRILLS = "game day"


class Rank(IntEnum):
    """What comes first among things to do."""

    HOLE = 0
    WRONG = 1
    BETTER = 2


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do. why: the figures; runbook: the name of the page to follow, if there is one."""

    what: str
    why: str
    who: Owner
    runbook: str = ""
    rank: Rank = Rank.WRONG


@dataclass(frozen=True, slots=True)
class Question:
    """Something to talk over. why: the figures."""

    ask: str
    why: str


Lesson = Action | Question


@dataclass(frozen=True, slots=True)
class Seen:
    """What rules look at."""

    result: DrillResult
    figures: Figures

    @property
    def cause(self) -> str:
        """The runbook of the first alert that must come: where to look for the cause."""
        return self.figures.alerts[0].runbook if self.figures.alerts else ""

    @property
    def cached(self) -> bool:
        """Whether how long verifiers keep keys decides how far and how long the fault reaches."""
        return any(fault.name.partition(".")[0] in _CACHED for fault in self.result.record.faults)


def lessons(result: DrillResult, figures: Figures) -> tuple[Lesson, ...]:
    """All that follows from one drill; of an invalid one that it says nothing, and what was let in all the same."""
    seen = Seen(result, figures)
    invalid = result.judged.outcome is Outcome.INVALID
    rules = (_invalid, _let_in) if invalid else _RULES if result.record.faults else _UNBROKEN
    return tuple(lesson for rule in rules for lesson in rule(seen))


def _invalid(seen: Seen) -> Iterator[Lesson]:
    unmet = [f"{f.what}: {f.detail}" for f in seen.result.judged.findings if f.met is False]
    yield Action("Mend what kept the drill from saying anything, and run it again", "; ".join(unmet), Owner.DRILLS)


def _let_in(seen: Seen) -> Iterator[Lesson]:
    found = let_in(seen.result.record)
    total = sum(found.values())
    if not total:
        return
    where = listed([f"{number(n)} of case {case} at {place}" for (case, place), n in found.items()])
    if total > seen.result.expected.false_accepts:
        what = f"Find out why {counted(total, 'bad token was', 'bad tokens were')} let in, and close that hole first"
        yield Action(what, where, Owner.SECURITY, "JwtFalseAccept", Rank.HOLE)
    else:
        ask = f"Is it still right that this drill allows {seen.result.expected.false_accepts} bad tokens to be let in?"
        yield Question(ask, where)


def _not_injected(seen: Seen) -> Iterator[Lesson]:
    unmet = [f.what for f in seen.result.judged.findings if f.met is False]
    what = "Find out why no fault was injected, and run the drill again"
    yield Action(what, f"0 faults seen; so of course not met: {listed(unmet)}", Owner.DRILLS)


def _missed(seen: Seen) -> Iterator[Lesson]:
    for alert in seen.figures.fated(Fate.MISSED):
        hurt = seen.figures.hurt_seconds
        why = f"It must come as a {alert.severity} within {seconds(alert.within)} of the fault, and {alert.note}; "
        why += f"users were turned away for {seconds(hurt)}" if hurt else "no user was turned away either"
        what = f"Find out why {alert.name} did not come, and have it come"
        yield Action(what, why, Owner(alert.route), alert.runbook)


def _late(seen: Seen) -> Iterator[Lesson]:
    for alert in seen.figures.fated(Fate.LATE):
        assert alert.after is not None
        assert alert.within is not None
        why = f"It came {seconds(alert.after)} after the fault began, {seconds(alert.after - alert.within)} too late"
        what = f"Have {alert.name} come sooner, or agree that it may take longer"
        yield Action(what, why, Owner(alert.route), alert.runbook)


def _unannounced(seen: Seen) -> Iterator[Lesson]:
    for alert in seen.figures.fated(Fate.UNANNOUNCED):
        yield Action(
            f"Decide whether {alert.name} tells of this fault: announce it, or have the right page silence it",
            f"It came as a {alert.severity} {seconds(alert.after)} after the fault began, unannounced by the drill",
            Owner(alert.route),
            alert.runbook,
        )


def _stopped(seen: Seen) -> Iterator[Lesson]:
    if seen.result.record.stopped:
        what = "Find out why the drill had to stop itself before it is run again"
        yield Action(what, seen.result.record.stopped, Owner.DRILLS, seen.cause)


def _stuck(seen: Seen) -> Iterator[Lesson]:
    allowed = seconds(seen.result.demands.gone_within)
    for alert in seen.figures.alerts:
        if alert.name in seen.result.judged.stuck and alert.severity == "page":
            what = f"Find out what keeps {alert.name} on once the cause is gone"
            yield Action(
                what, f"It was on for more than {allowed} after the fault's end", Owner(alert.route), alert.runbook
            )


def _early(seen: Seen) -> Iterator[Lesson]:
    for alert in seen.figures.fated(Fate.EARLY):
        why = f"It was active as a {alert.severity} {seconds(-(alert.after or 0))} before the fault began"
        yield Action(f"Find out why {alert.name} came unprovoked", why, Owner(alert.route), alert.runbook)


def _recovery(seen: Seen) -> Iterator[Lesson]:
    allowed, after = seen.result.demands.recovery_within, seen.result.judged.recovered_after
    if after is not None and after <= allowed:
        return
    last = _slowest(seen.figures)
    where = f"{last.place} was the last" if last is not None else "no single place was the last"
    took = "Not yet by the end of the observation" if after is None else f"Only after {seconds(after)}"
    yield Action(
        "Have good tokens accepted sooner once the cause is gone",
        f"{took}, where {seconds(allowed)} are allowed; {where}",
        Owner.PLATFORM,
        seen.cause,
    )


def _unsteady(seen: Seen) -> Iterator[Lesson]:
    if seen.result.record.unsteady:
        what = "Bring the target back to normal before anything else is tried on it"
        yield Action(what, seen.result.record.unsteady, Owner.PLATFORM, seen.cause)


def _unwell(seen: Seen) -> Iterator[Lesson]:
    for finding in seen.result.judged.findings:
        if finding.what == "Control period is clean" and finding.met is False:
            what = "Find out what goes wrong when nothing is broken"
            yield Action(what, f"Before the fault: {finding.detail}", Owner.SERVICE)


def _unwatched(seen: Seen) -> Iterator[Lesson]:
    unwatched = seen.figures.fated(Fate.NOT_WATCHED)
    if unwatched:
        names = listed([alert.name for alert in unwatched])
        what = "Run the drill again with alerts watched"
        yield Action(what, f"Not judged: {names}", Owner.DRILLS, rank=Rank.BETTER)


def _unfelt(seen: Seen) -> Iterator[Lesson]:
    fault = seen.result.record.fault
    if fault is not None and not seen.figures.hurt_seconds:
        yield Question(
            "Was the fault too mild or too short to be felt, or is the system that robust?",
            f"No good token was turned away in the {seconds(fault.end - fault.begin)} of the fault",
        )


def _felt_apart(seen: Seen) -> Iterator[Lesson]:
    hurt = seen.figures.hurt
    if len(hurt) > 1 and (hurt[-1].felt_after or 0) - (hurt[0].felt_after or 0) > _APART:
        yield Question(
            f"Why did {hurt[-1].place} feel it so much later than {hurt[0].place}?",
            listed([f"{one.place} after {seconds(one.felt_after)}" for one in hurt]),
        )


def _clean_apart(seen: Seen) -> Iterator[Lesson]:
    clean = sorted((one.clean_after, one.place) for one in seen.figures.hurt if one.clean_after is not None)
    if len(clean) < 2 or clean[-1][0] - clean[0][0] <= _APART:
        return
    slowest = clean[-1][1]
    what = f"Shorten how long {slowest} keeps keys, or have it fetch them again at the first unknown one"
    yield Action(
        what if seen.cached else f"Find out why {slowest} needs so much longer to recover",
        "Clean again after the fault: " + listed([f"{place} after {seconds(after)}" for after, place in clean]),
        Owner.PLATFORM,
        seen.cause,
    )


def _unnoticed(seen: Seen) -> Iterator[Lesson]:
    felt, noticed = seen.result.judged.felt_after, seen.figures.noticed_after
    if felt is not None and noticed is not None and noticed - felt > _UNNOTICED:
        yield Question(
            f"Is it acceptable that users were turned away for {seconds(noticed - felt)} before anybody was told?",
            f"Users felt it {seconds(felt)} after the fault began, the first alert came after {seconds(noticed)}",
        )


def _next(seen: Seen) -> Iterator[Lesson]:
    """After a drill that held: mend what nearly failed, or have the drill ask for more."""
    if seen.result.judged.outcome is not Outcome.HELD:
        return
    bounds = _bounds(seen)
    near = [bound for bound in bounds if bound.share >= _NEAR]
    for bound in near:
        what = f"Win some room: {bound.what} just held"
        yield Action(what, bound.figures, bound.who, bound.runbook, Rank.BETTER)
    if bounds and all(bound.share < _LOOSE for bound in bounds):
        worst = max(bounds, key=lambda bound: bound.share)
        yield Action(
            "Tighten what the drill allows, so that it notices when this gets slower",
            f"{listed([bound.figures for bound in bounds])}; "
            f"{math.ceil(100 * worst.share)} % of what is allowed at most",
            Owner.DRILLS,
            rank=Rank.BETTER,
        )


@dataclass(frozen=True, slots=True)
class _Bound:
    """A time that was allowed, and the one that was seen."""

    what: str
    seen: float
    allowed: float
    who: Owner
    runbook: str

    @property
    def share(self) -> float:
        return self.seen / self.allowed

    @property
    def figures(self) -> str:
        return f"{self.what} after {seconds(self.seen)} of {seconds(self.allowed)}"


def _bounds(seen: Seen) -> list[_Bound]:
    found = [
        _Bound(alert.name, alert.after, alert.within, Owner(alert.route), alert.runbook)
        for alert in seen.figures.fated(Fate.ON_TIME)
        if alert.after is not None and alert.within is not None
    ]
    recovered = seen.result.judged.recovered_after
    if recovered is not None and seen.figures.hurt_seconds:
        allowed = seen.result.demands.recovery_within
        found.append(_Bound("the recovery", recovered, allowed, Owner.PLATFORM, seen.cause))
    return found


def _slowest(figures: Figures) -> Propagation | None:
    """The place that was clean last; one that never was comes after all."""
    return max(figures.hurt, key=lambda one: math.inf if one.clean_after is None else one.clean_after, default=None)


_RULES: tuple[Callable[[Seen], Iterator[Lesson]], ...] = (
    _let_in,
    _stopped,
    _unsteady,
    _missed,
    _late,
    _unannounced,
    _stuck,
    _early,
    _recovery,
    _clean_apart,
    _unwell,
    _unwatched,
    _unfelt,
    _felt_apart,
    _unnoticed,
    _next,
)
_UNBROKEN = (_let_in, _not_injected, _unsteady, _early, _unwell)  # where nothing was broken, no alert was missed
