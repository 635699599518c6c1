"""Has Prometheus scrape a process of ours, by a file of its file_sd."""

import json
from pathlib import Path


def announce(file_sd: Path, name: str, port: int) -> Path:
    """Have that loopback port scraped from now on, as a job of that name; remove the returned file to end it.

    A job of its own: what ends when it is done is no target that is down among others that go on.
    """
    path = file_sd / f"{name}.yml"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {"job": name}}]))  # JSON is YAML too
    fresh.replace(path)
    return path
