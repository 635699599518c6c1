"""Has Prometheus scrape a process of ours, by a file of its file_sd."""

import json
from pathlib import Path


def announcement(file_sd: Path, name: str) -> Path:
    """The file by which `announce` does it; whoever is scraped no more removes it."""
    return file_sd / f"{name}.yml"


def announce(file_sd: Path, name: str, port: int) -> None:
    """Have that loopback port scraped from now on, as a job of that name.

    A job of its own: what ends when it is done is no target that is down among others that go on.
    """
    path = announcement(file_sd, name)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {"job": name}}]))  # JSON is YAML too
    fresh.replace(path)
