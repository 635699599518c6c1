"""The game day's page in a real Chromium: offline, on a phone and a desk, in light and dark, and on paper."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.drill import days

from jwtdrill.drill.files import write
from jwtdrill.drill.result import GameDay

selenium = pytest.importorskip("selenium", reason="selenium is not installed: run make test")
from tests.drill.browser import CHROMIUM, DRIVER, Page, chromium  # noqa: E402 - it needs selenium

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not CHROMIUM or not DRIVER, reason="no chromium with its driver: apt-get install chromium chromium-driver"
    ),
]
PHONE, DESK = (360, 740), (1280, 800)
# The least contrast of text with what it lies on (WCAG 2.2, 1.4.3), of HTML and of plots, by the colours that the
# browser computed; text of 24 px, or bold of 18.66 px, needs less, and is held to the same here.
CONTRAST = """
const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const over = (top, below) => { const a = top.length > 3 ? top[3] : 1;
  return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a)); };
const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = rgb => { const [r, g, b] = rgb.map(v => linear(v / 255));
  return .2126 * r + .7152 * g + .0722 * b; };
const canvas = () => parse(getComputedStyle(document.body).backgroundColor);
const ground = element => { const layers = [];
  for (let e = element; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
  return layers.reduce((below, top) => over(top, below), canvas()); };
const found = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.closest('style')) continue;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  if (!box.width || style.visibility === 'hidden') continue;
  const below = ground(e), text = over(parse(e.closest('svg') ? style.fill : style.color), below);
  const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
  found.push([(a + .05) / (b + .05), e.textContent.trim().slice(0, 40)]);
}
return found;
"""
OVERFLOWING = """
const wide = document.documentElement.clientWidth + 1;
return [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll, .chart, .hidden, .summary thead') && e.getBoundingClientRect().right > wide)
  .map(e => e.tagName + ': ' + e.textContent.trim().slice(0, 60));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(days.day(), tmp_path_factory.mktemp("day")) as found:
        yield found


def opened(day: GameDay, folder: Path):
    write(folder / "out", day)
    return chromium(folder / "out" / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_asks_the_network_for_nothing_and_has_nothing_to_complain_of(
    page: Page, size: tuple[int, int], scheme: str
) -> None:
    page.open(*size, scheme)
    assert page.requests
    assert [url for url in page.requests if not url.startswith(("file:///", "data:"))] == []
    assert {url for url in page.requests if url.startswith("file:")} == {page.url}
    assert page.complaints() == []


def test_the_probe_for_requests_would_see_one(tmp_path: Path) -> None:
    """Without the policy the same browser does ask for a picture elsewhere, and with it complains instead."""
    (tmp_path / "page.html").write_text('<p>x</p><img src="http://elsewhere.example/x.png" alt="">')
    with chromium(tmp_path / "page.html") as bad:
        bad.open(*DESK)
        assert "http://elsewhere.example/x.png" in bad.requests
        assert bad.complaints()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_never_scrolls_sideways(page: Page, size: tuple[int, int]) -> None:
    page.open(*size)
    assert page.run("return document.documentElement.scrollWidth") == size[0]
    assert page.run("return innerWidth") == size[0]
    assert page.run(OVERFLOWING) == []


def test_wide_tables_and_plots_scroll_in_boxes_of_their_own_on_a_phone(page: Page) -> None:
    page.open(*PHONE)
    boxes = page.run(
        "return [...document.querySelectorAll('.scroll, .chart')]"
        ".map(e => [e.scrollWidth > e.clientWidth, getComputedStyle(e).overflowX, e.tabIndex])"
    )
    assert boxes
    assert {tuple(box) for box in boxes} == {(True, "auto", 0)}
    widths = page.run("return [...document.querySelectorAll('.chart svg')].map(e => e.getBoundingClientRect().width)")
    assert min(widths) >= 700  # not shrunk beyond reading


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_it_lies_on(page: Page, scheme: str) -> None:
    page.open(*DESK, scheme)
    found = page.run(CONTRAST)
    assert len(found) > 300
    assert any("JwtClockOffset" in text for _, text in found)
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []


def test_light_and_dark_differ_and_so_do_their_plots(page: Page) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        page.open(*DESK, scheme)
        page.run("document.querySelector('.chart').scrollIntoView()")
        ground = page.run("return getComputedStyle(document.body).backgroundColor")
        line = page.run("return getComputedStyle(document.querySelector('.chart [stroke=\"#2563eb\"]')).stroke")
        seen[scheme] = (ground, line, page.screenshot())
    assert seen["light"][0] == "rgb(255, 255, 255)"
    assert all(light != dark for light, dark in zip(seen["light"], seen["dark"], strict=True))


def bottom(page: Page, selector: str) -> list[float]:
    return page.run(f"return [...document.querySelectorAll('{selector}')].map(e => e.getBoundingClientRect().bottom)")


def test_the_first_screen_has_the_verdict_and_every_drills_line(page: Page) -> None:
    page.open(*DESK)
    lines = bottom(page, ".summary tbody tr")
    assert len(lines) == len(days.ALL)
    assert max([*bottom(page, "h1"), *lines]) <= DESK[1]


def test_so_has_that_of_a_day_with_a_drill_for_each_failure_mode(tmp_path: Path) -> None:
    with opened(days.day(*(days.held() for _ in range(14))), tmp_path) as long:
        long.open(*DESK)
        lines = bottom(long, ".summary tbody tr")
        assert len(lines) == 14
        assert max(lines) <= DESK[1]


def test_a_phones_first_screen_has_the_verdict_and_each_figure_has_its_name(page: Page) -> None:
    page.open(*PHONE)
    assert max(bottom(page, "h1")) < PHONE[1] / 2
    names = page.run(
        "return [...document.querySelectorAll('.summary tbody tr:first-child td:not([data-label=Verdict])')]"
        ".map(e => getComputedStyle(e, '::before').content)"
    )
    assert names == ['"Users hurt for"', '"Noticed"', '"Back to normal"', '"Of the month\'s error budget"']


def test_no_status_is_told_by_colour_alone(page: Page) -> None:
    page.open(*DESK)
    marked = page.run("return [...document.querySelectorAll('.badge, .good, .wrong')].map(e => e.textContent.trim())")
    assert marked
    assert [text for text in marked if not re.search(r"[✓✗?]|^\d", text) or not re.search(r"\w", text)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_prints_dark_on_white_on_a_sane_number_of_pages(page: Page, scheme: str) -> None:
    page.open(*DESK, scheme)
    printed = page.pdf()
    assert printed.startswith(b"%PDF")
    sheets = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert len(days.ALL) + 1 <= sheets <= 4 * len(days.ALL) + 3
    page.media("print", scheme)
    try:
        assert page.run("return getComputedStyle(document.body).color") == "rgb(24, 24, 27)"
        assert [text for ratio, text in page.run(CONTRAST) if ratio < 4.5] == []
        line = "return getComputedStyle(document.querySelector('.chart [stroke=\"#2563eb\"]')).stroke"
        assert page.run(line) == "rgb(37, 99, 235)"
        clipped = "return [...document.querySelectorAll('.scroll, .chart')].map(e => getComputedStyle(e).overflowX)"
        assert set(page.run(clipped)) == {"visible"}
    finally:
        page.media("", scheme)
