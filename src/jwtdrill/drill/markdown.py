"""The game day's report as Markdown, for a ticket: short, with the actions as a list to tick off."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence

from jwtdrill.drill.lessons import Action
from jwtdrill.drill.story import DrillStory, Reasons, Story
from jwtdrill.drill.words import number, seconds


def render_markdown(story: Story) -> str:
    """The whole ticket."""
    return "\n".join(_lines(story)).rstrip() + "\n"


def _lines(story: Story) -> Iterator[str]:
    day = story.day
    yield f"# Game day: {_plain(story.verdict)}"
    yield ""
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(day.started))
    yield f"{date}, environment {day.environment}, issuer {_plain(day.issuer)}. {_plain(' '.join(story.lead))}"
    yield ""
    yield from _table(
        ("Drill", "Verdict", "Users hurt for", "Noticed", "Back after the end", f"Of {story.budget}"),
        ((d.result.title, _verdict(d), d.hurt, d.noticed, d.back, d.budget) for d in story.drills),
    )
    yield "## What to do"
    yield ""
    for action, because in story.actions:
        page = f" Runbook: {_runbook(story, action)}." if action.runbook else ""
        yield f"- [ ] **{action.who}**: {_plain(action.what)}. {_why(because)}{page}"
    yield ""
    yield "## To discuss"
    yield ""
    for question, because in story.questions:
        yield f"- {_plain(question.ask)} {_why(because)}"
    yield ""
    for drill in story.drills:
        yield from _drill(drill)
    yield "Beside this file: `report.html`, `journal.json` and what was seen second by second."


def _drill(drill: DrillStory) -> Iterator[str]:
    yield f"## {_plain(drill.result.title)}: {drill.outcome}"
    yield ""
    yield _plain(drill.result.description)
    yield ""
    if drill.figures.propagation:
        yield from _table(
            ("Where", "First turned a good token away", "Clean again after the end", "Turned away", "Of good tokens"),
            (
                (p.place, seconds(p.felt_after), seconds(p.clean_after), number(p.turned_away), number(p.sent))
                for p in drill.figures.propagation
            ),
        )
    if drill.figures.alerts:
        yield from _table(
            ("Alert", "Severity", "Fate", "Came after", "Allowed"),
            ((a.name, a.severity, a.fate, seconds(a.after), seconds(a.within)) for a in drill.figures.alerts),
        )
    unmet = [finding for finding in drill.result.judged.findings if finding.met is False]
    yield from (f"- Not met: {_plain(finding.what)}: {_plain(finding.detail)}" for finding in unmet)
    yield ""


def _verdict(drill: DrillStory) -> str:
    return f"{drill.outcome}: {'; '.join(drill.why)}" if drill.why else drill.outcome.value


def _why(because: Reasons) -> str:
    given = [f"{one.drill.result.title}: {one.why}" if one.drill is not None else one.why for one in because]
    return f"({_plain('; '.join(given))})"


def _runbook(story: Story, action: Action) -> str:
    place = story.runbook(action.runbook)
    return f"[{action.runbook}]({place})" if story.day.runbooks else f"`{place}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(map(_plain, row))} |" for row in rows)
    yield ""


def _plain(text: str) -> str:
    """The text in one line, with nothing in it that Markdown would read as its own."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
