"""The layers of the design hold: imports go one way, and heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "jwtdrill"
LAYERS = [
    {"catalog", "processes"},
    {"target", "tokens"},
    {"flows", "verify"},
    {"probe", "load", "faults", "rotation", "observe"},
    {"drill", "lab"},
    {"cli"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# tokens lie in one layer with target and below it; drill and lab are told apart by "nothing but cli imports lab".
WITHIN_A_LAYER = {("target", "tokens")}
HEAVY = {"locust": {"load"}, "grafanalib": {"observe"}, "chaoslib": {"drill"}, "altair": {"drill", "load"}}


def imports() -> Iterator[tuple[Path, str]]:
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield path, alias.name


def test_imports_go_up_the_list_of_layers_and_never_down() -> None:
    wrong = []
    for path, module in imports():
        mine = path.relative_to(SRC).parts[0]
        parts = module.split(".")
        if parts[0] != "jwtdrill" or len(parts) < 2 or mine not in RANK or parts[1] not in RANK or parts[1] == mine:
            continue
        if RANK[parts[1]] >= RANK[mine] and (mine, parts[1]) not in WITHIN_A_LAYER:
            wrong.append(f"{path.relative_to(SRC)} imports {module}")
    assert not wrong


def test_every_package_has_its_place_in_the_list() -> None:
    assert {p.name for p in SRC.iterdir() if (p / "__init__.py").exists()} <= set(RANK)


def test_nothing_but_the_command_line_imports_the_lab() -> None:
    users = {path.relative_to(SRC).parts[0] for path, module in imports() if module.startswith("jwtdrill.lab")}
    assert users <= {"lab", "cli"}


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_where_they_belong(library: str) -> None:
    users = {path.relative_to(SRC).parts[0] for path, module in imports() if module.split(".")[0] == library}
    assert users == HEAVY[library]


def test_the_catalogue_imports_nothing_of_ours_but_the_errors_and_the_toml_reader() -> None:
    ours = {
        module
        for path, module in imports()
        if path.relative_to(SRC).parts[0] == "catalog"
        and module.startswith("jwtdrill.")
        and not module.startswith("jwtdrill.catalog")
    }
    assert ours <= {"jwtdrill.errors", "jwtdrill.toml"}


@pytest.mark.parametrize(
    "module", ["jwtdrill.drill.session", "jwtdrill.cli.app", "jwtdrill.verify", "jwtdrill.catalog"]
)
def test_importing_it_patches_nothing(module: str) -> None:
    """gevent comes with locust and patches the whole process: a service that verifies tokens must not get it."""
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('gevent', 'locust')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
