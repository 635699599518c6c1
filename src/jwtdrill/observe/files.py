"""What is built for import: rule files, Alertmanager's configuration, dashboards. Deterministic, byte for byte."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jwtdrill.catalog.alerting import DetectionAlert
from jwtdrill.catalog.alerts import ALERT_NAMES, ALERTS
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import Objective
from jwtdrill.errors import BadInputError
from jwtdrill.observe.routes import Receivers, alertmanager_config
from jwtdrill.observe.rules import RUNBOOKS, prometheus_rule, rule_file
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


def build_alerts(
    objectives: Sequence[Objective], scale: TimeScale, runbooks: str = RUNBOOKS, receivers: Receivers | None = None
) -> dict[str, str]:
    """File name to content of all that lies in `alerts/`. runbooks: the URL below which the pages are served."""
    rules = rule_file(objectives, scale, runbooks)
    routes = alertmanager_config(objectives, scale, receivers or Receivers())
    contents = {
        "jwtdrill.rules.yml": rules,
        "prometheusrule.yml": prometheus_rule(rules),
        "alertmanager.yml": routes,
    }
    return {name: _HEADER + to_yaml(content) for name, content in contents.items()}


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


def check_pages(folder: Path, objectives: Sequence[Objective]) -> None:
    """That each alert of these objectives has its runbook page there, and each page its alert. Raises BadInputError."""
    if not folder.is_dir():
        raise BadInputError(f"{folder}: is no folder: name the one that holds the runbook pages")
    pages = {path.stem for path in folder.glob("*.md")} - {"README"}
    burning = [burn_alert(objective) for objective in objectives if objective.guarded]
    wanted = {alert.runbook for alert in burning} | {
        alert.name for alert in ALERTS if isinstance(alert, DetectionAlert)
    }
    strangers = sorted(pages - wanted - set(ALERT_NAMES) - {alert.name for alert in burning})
    mistakes = [
        *(f"{folder / name}.md:1: no alert is called {name}: name the page after its alert" for name in strangers),
        *(f"{folder / name}.md: is missing, and the alert {name} links to it" for name in sorted(wanted - pages)),
    ]
    if mistakes:
        raise BadInputError("; ".join(mistakes))


def write(built: Mapping[Path, Mapping[str, str]]) -> None:
    """Write all files of all folders, or none. Raises BadInputError."""
    fresh: dict[Path, Path] = {}
    former: dict[Path, bytes | None] = {}
    folder = Path()
    try:
        for folder, files in built.items():
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                fresh[folder / name] = folder / f".{name}.new"
                fresh[folder / name].write_text(content, encoding="utf-8")
        for path, new in fresh.items():
            folder = path.parent
            content_before = path.read_bytes() if path.exists() else None
            new.replace(path)
            former[path] = content_before
    except OSError as error:
        for path, content_before in former.items():
            path.unlink() if content_before is None else path.write_bytes(content_before)
        raise BadInputError(f"{error.filename or folder}: cannot be written: {error.strerror}; nothing was") from None
    finally:
        for new in fresh.values():
            new.unlink(missing_ok=True)
