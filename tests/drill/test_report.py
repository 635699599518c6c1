"""The folder of a game day: a page that fetches nothing, a ticket, a journal and raw data, all of it or nothing."""

import csv
import html
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from tests.drill import days
from tests.drill.days import day, drill, held, missed_and_late

from jwtdrill.catalog.verdicts import Expected, Verdict
from jwtdrill.drill.files import contents, write
from jwtdrill.drill.markdown import render_markdown
from jwtdrill.drill.report import render_html
from jwtdrill.drill.story import tell
from jwtdrill.errors import BadInputError
from jwtdrill.load.charts import SHADES, shade_css

STORY = tell(day())
PAGE = render_html(STORY)
TICKET = render_markdown(STORY)
_EVIL = '<script>alert(1)</script> | `x` [a](http://evil.example) & "q"'


class Structure(HTMLParser):
    """Tags, and what hangs open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "path", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "line", "rect"):
            return
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    structure = Structure(PAGE)
    assert not structure.open
    names = {tag for tag, _ in structure.tags}
    assert not names & {"script", "iframe", "object", "embed", "img", "form", "base", "audio", "video"}
    policy = next(attrs["content"] for tag, attrs in structure.tags if tag == "meta" and attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "url(" not in PAGE
    assert "@import" not in PAGE
    for tag, attrs in structure.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            value = attrs.get(name) or ""
            assert not re.match(r"[a-z]+:(?!,)|//", value), (tag, value)
        assert not [name for name in attrs if name.startswith("on")]


def test_the_page_has_one_verdict_its_headings_in_order_and_names_for_what_has_none() -> None:
    tags = Structure(PAGE).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(later - sooner <= 1 for sooner, later in pairwise(levels))
    ids = [attrs["id"] for tag, attrs in tags if "id" in attrs and tag != "g"]
    assert len(ids) == len(set(ids))
    for tag, attrs in tags:
        if attrs.get("role") in ("img", "region") and tag == "div":
            assert attrs["aria-label"], tag
        if tag == "section":
            assert attrs["aria-labelledby"] in ids
        if tag == "th":
            assert attrs["scope"] in ("row", "col")
        if tag == "a" and (attrs.get("href") or "").startswith("#"):
            assert (attrs["href"] or "")[1:] in ids
    assert len([tag for tag, _ in tags if tag == "caption"]) == len([tag for tag, _ in tags if tag == "table"]) - 1


@pytest.mark.parametrize("text", [PAGE, TICKET], ids=["page", "ticket"])
def test_page_and_ticket_tell_the_same_story(text: str) -> None:
    told = re.sub(r"\\(.)", r"\1", html.unescape(re.sub(r"<[^>]+>", "", text)))
    assert STORY.verdict in told
    for line in STORY.lead:
        assert line in told
    for one in STORY.drills:
        assert one.result.title in told
        for words in (one.hurt, one.noticed, one.back, one.budget, *one.why):
            assert words in told
    for action, because in STORY.actions:
        assert f"{action.what}." in told
        assert all(one.why in told for one in because)
        if action.runbook:
            assert f"docs/runbooks/{action.runbook}.md" in told
    for question, because in STORY.questions:
        assert question.ask in told
        assert all(one.why in told for one in because)
    for one in STORY.drills:
        for place in one.figures.propagation:
            assert place.place in told


def test_runbooks_that_are_served_are_linked() -> None:
    told = tell(day(missed_and_late(), runbooks="https://wiki.example/jwt"))
    assert '<a href="https://wiki.example/jwt/JwtRotationBroken.md">' in render_html(told)
    assert "[JwtRotationBroken](https://wiki.example/jwt/JwtRotationBroken.md)" in render_markdown(told)


def test_what_others_wrote_is_text_and_nothing_else() -> None:
    made = missed_and_late()
    made.record.unsteady = _EVIL
    told = tell(day(drill("x", _EVIL, _EVIL, made.record, (made.expected, made.demands))))
    page, ticket = render_html(told), render_markdown(told)
    assert "<script" not in page
    assert not Structure(page).open
    assert "<script" not in re.sub(r"\\<", "", ticket)
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", ticket)
    rows = [line for line in ticket.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} <= {6, 7}


def test_the_ticket_is_markdown_with_actions_to_tick_off() -> None:
    assert TICKET.startswith("# Game day: 2 of 5 drills did not go as they must.\n")
    ticks = [line for line in TICKET.splitlines() if line.startswith("- [ ] ")]
    assert len(ticks) == len(STORY.actions)
    assert ticks[0].startswith("- [ ] **security**: Find out why 12 bad tokens were let in")
    assert "\n\n\n\n" not in TICKET
    heads = [n for n, line in enumerate(TICKET.splitlines()) if line.startswith("|---")]
    for n in heads:
        before, _, after = TICKET.splitlines()[n - 1 : n + 2]
        assert before.count("|") == after.count("|")


def test_every_second_is_in_the_raw_data_and_adds_up() -> None:
    made = held()
    files = contents(tell(day(made)))
    rows = list(csv.DictReader(files["clock_skew.seconds.csv"].splitlines()))
    refused = [r for r in rows if (r["expected"], r["verdict"]) == (Expected.ACCEPTED, Verdict.REJECTED)]
    assert sum(int(row["count"]) for row in refused) == made.judged.false_rejects == 2500
    assert {row["resource"] for row in refused} == {"verifier-b"}
    assert {row["phase"] for row in refused} == {"fault", "recovery"}
    assert sum(int(row["count"]) for row in rows) == sum(second.sent for second in made.record.seconds)
    first = rows[0]
    assert (first["unix_time"], first["second"], first["phase"], first["fault"]) == (
        str(days.START),
        "0.0",
        "control",
        "0",
    )
    assert {row["fault"] for row in rows if days.BEGIN <= int(row["unix_time"]) < days.END} == {"1"}
    assert float(first["all_latency_max_ms"]) > float(first["all_latency_mean_ms"]) > 0


def test_the_folder_has_it_all_and_is_made_in_one_step(tmp_path: Path) -> None:
    write(tmp_path / "out", day())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    raw = {f"{one.slug}.seconds.csv" for one in STORY.drills}
    assert names == {"report.html", "report.md", "journal.json", *raw}
    assert json.loads((tmp_path / "out/journal.json").read_text())["verdict"] == STORY.verdict
    for name in names - {"report.html"}:
        assert f'href="{name}"' in PAGE
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be written"):
        write(tmp_path / "file/out", day())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_drill_that_saw_nothing_still_has_its_page() -> None:
    made = days.invalid()
    made.record.seconds, made.record.phases, made.record.faults, made.record.burn = [], {}, [], {}
    made.record.problem = "the load left no result"
    told = tell(day(drill("x", "X", "", made.record, (made.expected, made.demands))))
    assert "the load left no result" in render_html(told)
    assert "the load left no result" in render_markdown(told)


def test_every_colour_in_a_plot_has_its_shade_in_the_dark() -> None:
    """A colour that the dark page does not swap would be text in ink on ink."""
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', "".join(re.findall(r"<svg.*?</svg>", PAGE, re.DOTALL))))
    swapped = set(re.findall(r'\[fill="(#[0-9a-f]{6})"\] \{ fill: #', PAGE))
    assert used
    assert used <= swapped
    assert 'white"' not in PAGE
    assert '[stroke="#2563eb"] { stroke: #60a5fa; }' in shade_css(SHADES)
