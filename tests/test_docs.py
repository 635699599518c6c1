"""What the documents name exists, and what they show works."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

import jwtdrill.cli.breaking  # noqa: F401 - has the command
from jwtdrill.cli.app import app
from jwtdrill.faults.standing import ENDPOINTS, REST
from jwtdrill.target.load import load_target
from jwtdrill.target.model import (
    Break,
    Client,
    Foreign,
    Issuer,
    Limits,
    ReadyToken,
    Resource,
    Signer,
    Sts,
    Tls,
    Watch,
)

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_the_readmes_target_file_is_valid(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    path = tmp_path / "staging.toml"
    path.write_text(re.sub(r"^   ", "", block, flags=re.MULTILINE))
    assert load_target(str(path)).client[0].id == "orders"


def test_what_the_page_for_services_shows_can_be_run() -> None:
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/verifying.md").read_text(), re.DOTALL)
    names: dict[str, object] = {"app": None, "revoked": SimpleNamespace(holds_key=lambda _: False)}
    exec(compile(block, "verifying.md", "exec"), names)
    assert type(names["app"]).__name__ == "BearerMiddleware"


def test_the_proxys_page_has_every_option_and_every_route() -> None:
    text = (ROOT / "docs/proxy.md").read_text()
    known = {parameter.opts[0] for parameter in get_command(app).commands["proxy"].params}  # type: ignore[attr-defined]
    assert set(re.findall(r"^\| `(--[a-z-]+)` \| ", text, re.MULTILINE)) == known
    [table] = re.findall(r"## What can be broken\n\n(.*?)\n\n", text, re.DOTALL)
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`([a-z]+)`", row)} == {*ENDPOINTS, "discovery", REST}


def test_folders_and_files_that_the_documents_name_exist() -> None:
    """A path in code marks that begins with a folder of the project."""
    tops = "|".join(p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith("."))
    packages = "|".join(p.name for p in (ROOT / "src/jwtdrill").iterdir() if p.is_dir() and p.name != "__pycache__")
    for page in PAGES:
        for name in re.findall(r"`([a-z_/.]+)`", page.read_text()):
            if re.match(rf"({tops})/", name):
                assert (ROOT / name).exists(), (page.name, name)
            elif re.match(rf"({packages})/", name):
                assert (ROOT / "src/jwtdrill" / name).exists(), (page.name, name)


def test_the_target_files_page_names_every_key_and_no_other() -> None:
    """Both ways: what the file may hold, and what the page says of it."""
    sections = re.split(r"^## ", (ROOT / "docs/target.md").read_text(), flags=re.MULTILINE)
    tables = {
        "[issuer]": Issuer,
        "[[client]]": Client,
        "[[token]]": ReadyToken,
        "[[signer]]": Signer,
        "[[foreign]]": Foreign,
        "[sts]": Sts,
        "[[resource]]": Resource,
    }
    for title, model in tables.items():
        [text] = [section for section in sections if section.startswith(f"`{title}`")]
        assert set(model.model_fields) <= set(re.findall(r"`(\w+)`", text)), title
        listed = {
            key for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
        }
        assert listed <= set(model.model_fields), title
    rest = {"tls": Tls, "limits": Limits, "break": Break, "watch": Watch}
    named = re.findall(r"`(tls|limits|break|watch)\.(\w+)`", sections[-1])
    assert set(named) == {(table, key) for table, model in rest.items() for key in model.model_fields}
