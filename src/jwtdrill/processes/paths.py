"""Where the files that lie beside the package are: in a checkout, or in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """The folder of that name: loadtests, chaos, dashboards, alerts, runbooks."""
    installed = _PACKAGE / "share" / name
    checkout = _PACKAGE.parents[1]
    return installed if installed.is_dir() else checkout / "docs" / name if name == "runbooks" else checkout / name
