"""What is built for import: rule files, Alertmanager's configuration, dashboards. Deterministic, byte for byte."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from jwtdrill.catalog.objectives import Objective
from jwtdrill.errors import BadInputError
from jwtdrill.observe.routes import alertmanager_config
from jwtdrill.observe.rules import RUNBOOKS, rule_file
from jwtdrill.observe.timing import TimeScale

_HEADER = "# Made by `jwtdrill build` from the catalogue: do not edit, build again.\n"
DASHBOARD_SUFFIX = ".dashboard.py"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Spell everything out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(content: Mapping[str, Any]) -> str:
    """YAML with the keys in their given order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)


def build_alerts(objectives: Iterable[Objective], scale: TimeScale, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """File name to content of all that lies in `alerts/`."""
    return {
        "jwtdrill.rules.yml": _HEADER + to_yaml(rule_file(objectives, scale, runbooks)),
        "alertmanager.yml": _HEADER + to_yaml(alertmanager_config(scale)),
    }


def build_dashboards(folder: Path) -> dict[str, str]:
    """File name to JSON of every `NAME.dashboard.py` in the folder. Raises BadInputError for one that fails."""
    from grafanalib._gen import loader

    from jwtdrill.observe.finish import render

    built = {}
    for source in sorted(folder.glob(f"*{DASHBOARD_SUFFIX}")):
        try:
            dashboard = loader(str(source))  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - the file is code: whatever it raises is its mistake
            raise BadInputError(f"{source}: {type(error).__name__}: {error}") from None
        built[source.name.removesuffix(DASHBOARD_SUFFIX) + ".json"] = render(dashboard)
    return built


def stale(folder: Path, built: Mapping[str, str]) -> list[Path]:
    """The files that are missing or differ from what a fresh build gives."""
    return [
        folder / name
        for name, content in built.items()
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != content
    ]


def write(folder: Path, built: Mapping[str, str]) -> None:
    """Write all files, each in one step. Raises BadInputError when the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = {name: folder / f".{name}.new" for name in built}
        for name, content in built.items():
            fresh[name].write_text(content, encoding="utf-8")
        for name, path in fresh.items():
            path.replace(folder / name)
    except OSError as error:
        raise BadInputError(f"{folder}: cannot be written: {error.strerror}") from None
