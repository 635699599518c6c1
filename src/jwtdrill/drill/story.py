"""The story of a game day, as its report tells it: a verdict in plain words, one line for each drill, what to do next.

Computed once from the results; the page, the ticket and the journal only format it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from jwtdrill.catalog.failure_modes import FAILURE_MODES, FailureMode
from jwtdrill.catalog.objectives import Indicator
from jwtdrill.drill.figures import Fate, Figures, figures, let_in
from jwtdrill.drill.lessons import Action, Lesson, Owner, Question, Rank, lessons
from jwtdrill.drill.result import DrillResult, GameDay
from jwtdrill.drill.words import counted, listed, period, seconds, share
from jwtdrill.load.verdict import Outcome
from jwtdrill.target.model import Environment

_MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class DrillStory:
    """One drill. slug: its name in files and links; why: what went wrong, in few words each."""

    slug: str
    result: DrillResult
    mode: FailureMode
    figures: Figures
    why: tuple[str, ...]
    lessons: tuple[Lesson, ...]

    @property
    def outcome(self) -> Outcome:
        """The verdict."""
        return self.result.judged.outcome

    @property
    def says(self) -> bool:
        """Whether it says anything: something was broken, and the drill is valid."""
        return self.result.record.fault is not None and self.outcome is not Outcome.INVALID

    @property
    def hurt(self) -> str:
        """How long users were hurt, in words."""
        if not self.says:
            return seconds(None)
        return seconds(self.figures.hurt_seconds) if self.figures.hurt_seconds else "not at all"

    @property
    def noticed(self) -> str:
        """When the first alert that tells of it came, in words."""
        if not self.says:
            return seconds(None)
        if self.result.record.alerts is None:
            return "not watched"
        return "not noticed" if self.figures.noticed_after is None else f"after {seconds(self.figures.noticed_after)}"

    @property
    def back(self) -> str:
        """When users were served again once the cause was gone, in words."""
        if not self.says:
            return seconds(None)
        after = self.result.judged.recovered_after
        if after is None:
            return "not yet"
        return f"after {seconds(after)}" if self.figures.hurt_seconds else "was never out"

    @property
    def budget(self) -> str:
        """The share of the error budget that went, in words."""
        return share(self.result.judged.budget_burned) if self.says else seconds(None)

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {
            "why": list(self.why),
            "hurt_seconds": self.figures.hurt_seconds,
            "turned_away": self.figures.turned_away,
            "noticed_after": self.figures.noticed_after,
            "propagation": [asdict(one) for one in self.figures.propagation],
            "alert_fates": [asdict(one) for one in self.figures.alerts],
            "timeline": [asdict(one) for one in self.figures.timeline],
        }


@dataclass(frozen=True, slots=True)
class Because:
    """Figures that led to a lesson, and the drill that has them; None: the day as a whole."""

    drill: DrillStory | None
    why: str


Reasons = tuple[Because, ...]  # what several drills teach is said once


@dataclass(frozen=True, slots=True)
class Story:
    """A game day. verdict: one sentence; lead: what else must be known at once; budget: of what a drill burned a share.

    actions: the gravest first.
    """

    day: GameDay
    verdict: str
    lead: tuple[str, ...]
    budget: str
    drills: tuple[DrillStory, ...]
    actions: tuple[tuple[Action, Reasons], ...]
    questions: tuple[tuple[Question, Reasons], ...]

    def runbook(self, page: str) -> str:
        """Where a runbook's page is: a URL, where it is known below which one they are served."""
        base = self.day.runbooks
        return f"{base.rstrip('/')}/{page}.md" if base else f"docs/runbooks/{page}.md"

    def to_json(self) -> dict[str, Any]:
        """The whole day as plain data, with what was derived."""
        content = self.day.to_json()
        for drill, story in zip(content["drills"], self.drills, strict=True):
            drill["derived"] = story.to_json()
        return content | {
            "verdict": self.verdict,
            "lead": list(self.lead),
            "actions_to_take": [
                {"what": one.what, "who": one.who, "runbook": one.runbook, "because": _plain(because)}
                for one, because in self.actions
            ],
            "questions": [{"ask": one.ask, "because": _plain(because)} for one, because in self.questions],
        }


def _plain(because: Reasons) -> list[dict[str, str | None]]:
    return [{"drill": one.drill.slug if one.drill is not None else None, "why": one.why} for one in because]


def tell(day: GameDay) -> Story:
    """The story of that day."""
    slugs = _slugs([result.name for result in day.results])
    drills = tuple(_drill(day, result, slug) for result, slug in zip(day.results, slugs, strict=True))
    gravest = sorted(drills, key=lambda drill: (Outcome.VIOLATED, Outcome.INVALID, Outcome.HELD).index(drill.outcome))
    learnt: list[tuple[Lesson, DrillStory | None]] = [(lesson, drill) for drill in gravest for lesson in drill.lessons]
    learnt += [(lesson, None) for lesson in _of_the_day(day, drills)]
    actions: dict[tuple[str, Owner, str], tuple[Action, Reasons]] = {}
    questions: dict[str, tuple[Question, Reasons]] = {}
    for lesson, drill in learnt:
        because = (Because(drill, lesson.why),)
        if isinstance(lesson, Action):
            task = lesson.what, lesson.who, lesson.runbook
            actions[task] = lesson, (actions[task][1] if task in actions else ()) + because
        else:
            questions[lesson.ask] = lesson, (questions[lesson.ask][1] if lesson.ask in questions else ()) + because
    length = _period(day)
    return Story(
        day,
        _verdict(drills),
        tuple(_lead(day, drills)),
        f"{_of_a(length, 'the')} error budget",
        drills,
        tuple(sorted(actions.values(), key=lambda one: one[0].rank)),
        tuple(questions.values()),
    )


def _drill(day: GameDay, result: DrillResult, slug: str) -> DrillStory:
    mode = next(mode for mode in FAILURE_MODES if mode.id == result.expected.failure_mode)
    valid = result.judged.outcome is not Outcome.INVALID
    found = figures(result.record, result.expected, result.demands, day.objectives, judged=valid)
    return DrillStory(slug, result, mode, found, tuple(_why(result, found)), lessons(result, found))


def _why(result: DrillResult, found: Figures) -> Iterator[str]:
    """What went wrong, in words for somebody who does not know the system; the judge's own where there are none."""
    if result.judged.outcome is Outcome.HELD:
        return
    if result.judged.outcome is Outcome.INVALID:
        yield "the drill itself did not work out"
        return
    words = list(_wrong(result, found))
    yield from words or [f"{f.what}: {f.detail}" for f in result.judged.findings if f.met is False]


def _wrong(result: DrillResult, found: Figures) -> Iterator[str]:
    record, expected = result.record, result.expected
    bad = sum(let_in(record).values())
    if bad > expected.false_accepts:
        yield f"{counted(bad, 'bad token was', 'bad tokens were')} let in"
    if not record.faults:
        yield "nothing was broken"
        return
    for fates, one, many in (
        ((Fate.MISSED,), "an alert did not come", "alerts did not come"),
        ((Fate.LATE,), "an alert came late", "alerts came late"),
        ((Fate.UNANNOUNCED,), "an alert came that was not announced", "alerts came that were not announced"),
        ((Fate.EARLY,), "an alert came before anything was broken", "alerts came before anything was broken"),
    ):
        times = len(found.fated(*fates))
        if times:
            yield one if times == 1 else f"{times} {many}"
    recovered = result.judged.recovered_after
    if recovered is None:
        yield "users were not served again by the end"
    elif recovered > result.demands.recovery_within:
        yield "users were served again too late"
    if record.unsteady:
        yield "the system was not back to normal afterwards"


def _verdict(drills: Sequence[DrillStory]) -> str:
    found = {outcome: sum(1 for drill in drills if drill.outcome is outcome) for outcome in Outcome}
    violated, invalid, held = (found[o] for o in (Outcome.VIOLATED, Outcome.INVALID, Outcome.HELD))
    if violated:
        return f"{violated} of {counted(len(drills), 'drill')} did not go as {'it' if violated == 1 else 'they'} must."
    if invalid:
        say = "says" if invalid == 1 else "say"
        return f"{invalid} of {counted(len(drills), 'drill')} {say} nothing and must be run again."
    if any(drill.result.record.alerts is None for drill in drills):
        return f"{_all(held)} went as {'it' if held == 1 else 'they'} must, as far as was watched: alerts were not."
    return f"{_all(held)} went as {'it' if held == 1 else 'they'} must: noticed in time, and over in time."


def _all(drills: int) -> str:
    return {1: "The drill", 2: "Both drills"}.get(drills, f"All {drills} drills")


def _lead(day: GameDay, drills: Sequence[DrillStory]) -> Iterator[str]:
    """What nobody may miss: bad tokens that were let in, the costliest drill, and how far the times can be trusted."""
    bad = sum(sum(let_in(drill.result.record).values()) for drill in drills)
    refusable = f"{counted(bad, 'token')} that must be refused {'was' if bad == 1 else 'were'} let in."
    yield refusable if bad else "No token that must be refused was let in."
    worst = max(drills, key=lambda drill: drill.result.judged.budget_burned, default=None)
    if worst is not None and worst.figures.hurt_seconds and worst.result.judged.budget_burned:
        lasts = worst.figures.hurt_seconds / worst.result.judged.budget_burned
        yield (
            f"The costliest was “{worst.result.title}”: going on like that would use up "
            f"{_of_a(_period(day), 'a')} error budget in {seconds(lasts)}."
        )
    if day.time_scale != 1:
        yield (
            f"Alerting ran {day.time_scale:g} times as fast as in real life, where alerts take up to "
            f"{day.time_scale:g} times as long to come."
        )
    if not day.fresh_watch and any(drill.result.record.alerts is not None for drill in drills):
        yield "Prometheus was not fresh for each drill: what one left behind may show in the next."


def _of_the_day(day: GameDay, drills: Sequence[DrillStory]) -> Iterator[Lesson]:
    worst = max(drills, key=lambda drill: drill.result.judged.budget_burned, default=None)
    if worst is not None and worst.figures.hurt_seconds and worst.result.judged.budget_burned:
        lasts = worst.figures.hurt_seconds / worst.result.judged.budget_burned
        yield Question(
            f"Could somebody end an outage like “{worst.result.title}” within {seconds(lasts)}, at any hour?",
            f"It burned {worst.budget} of the budget in {seconds(worst.figures.hurt_seconds)}; "
            f"at that rate all of it is gone after {seconds(lasts)}",
        )
    drilled = {drill.mode.id for drill in drills}
    ready = [mode for mode in FAILURE_MODES if mode.drills and mode.id not in drilled]
    if ready:
        names = listed([f"{mode.name} ({mode.id})" for mode in ready])
        why = f"There are drills for {names}"
        yield Action("Drill what was left out today", why, Owner.DRILLS, rank=Rank.BETTER)
    bare = [mode for mode in FAILURE_MODES if not mode.drills and mode.id not in drilled]
    if bare:
        names = listed([f"{mode.name} ({mode.id})" for mode in bare])
        yield Question("Which of the failures that nobody has drilled would hurt most?", f"Not drilled: {names}")
    held = [drill.result.title for drill in drills if drill.outcome is Outcome.HELD]
    if held and day.environment == Environment.LAB:
        why = f"On the lab only: {listed(held)}"
        yield Action(
            "Run what held here on staging, with its own caches, clocks and alerts", why, Owner.DRILLS, rank=Rank.BETTER
        )


def _period(day: GameDay) -> timedelta:
    found = (o.period for o in day.objectives if o.indicator is Indicator.VERIFICATION_SUCCESS)
    return next(found, _MONTH)


def _of_a(length: timedelta, article: str) -> str:
    return f"{article} month's" if period(length) == "month" else f"the {period(length)}'"


def _slugs(names: Sequence[str]) -> list[str]:
    """Names for files and links: plain characters only, each once."""
    slugs: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "drill"
        slugs.append(next(slug for slug in _numbered(plain) if slug not in slugs))
    return slugs


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))
