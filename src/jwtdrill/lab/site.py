"""Where a lab's processes are and how they are started: its folder and the port of each."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jwtdrill.lab.settings import SETTINGS_VARIABLE, write_settings
from jwtdrill.processes.supervisor import Spec

PYTHON = (sys.executable, "-m")


@dataclass(frozen=True, slots=True)
class Site:
    """The places of one lab, by name."""

    folder: Path
    ports: Mapping[str, int]

    def url(self, name: str) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def key_file(self, name: str) -> str:
        """The path of a credential."""
        return str(self.folder / "keys" / name)

    def service(
        self,
        name: str,
        module: str,
        settings: object = None,
        ready: str = "/healthz",
        env: Mapping[str, str] | None = None,
    ) -> Spec:
        """A process that serves a module of the lab. ready: the path that answers 200 once it does."""
        given = dict(env or {})
        if settings is not None:
            path = self.folder / f"{name}.json"
            write_settings(path, settings)
            given[SETTINGS_VARIABLE] = str(path)
        argv = [*PYTHON, "jwtdrill.lab.serve", module, str(self.ports[name])]
        restart = module != "issuer"  # it holds its keys in memory: another would be another issuer
        return Spec(name, argv, ready=self.url(name) + ready, env=given, restart=restart)
