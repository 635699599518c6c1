"""Every family of cases has its page, every page its family, and each says what, where and how."""

from pathlib import Path

from jwtdrill.tokens.cases import CASES

PAGES = Path(__file__).parents[2] / "docs" / "cases"


def test_families_and_pages_are_the_same() -> None:
    assert {case.family for case in CASES.values()} == {page.stem for page in PAGES.glob("*.md")}


def test_each_page_says_what_it_is_how_to_find_and_how_to_mend_it() -> None:
    for page in PAGES.glob("*.md"):
        text = page.read_text()
        for heading in ("## What it is", "## How to find it in your code", "## How to mend it"):
            _, _, after = text.partition(f"{heading}\n")
            assert len(after.strip().partition("##")[0]) > 30, (page.name, heading)
        assert f"--family {page.stem}`" in text
