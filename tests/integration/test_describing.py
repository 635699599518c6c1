"""`jwtdrill init` and `check` as a user runs them."""

import json
from pathlib import Path

import pytest
import tomlkit
from tests.integration.conftest import Commands

from jwtdrill.target.load import load_target

pytestmark = pytest.mark.integration


KEPT = "Prometheus keeps what the objectives look back on"


def test_the_lab_passes_its_preflight_but_for_its_short_caches(lab: Commands) -> None:
    done = lab.run("jwtdrill", "check", lab.target, "--json")
    items = {item["name"]: item for item in json.loads(done.stdout)}
    # Its key set is cached for seconds only, so that drills are short: a real one would be told.
    assert [name for name, item in items.items() if item["status"] == "fail"] == ["key set: cache headers"]
    assert done.returncode == 1
    assert items["verifier-a refuses bad tokens"]["status"] == "pass"
    assert items["verifier-a-mtls accepts a good token"]["status"] == "pass"
    for watched in (
        "metrics arrive at Prometheus",
        "alerts are loaded",
        KEPT,
        "keys are rotated",
        "Alertmanager is up",
    ):
        assert items[watched]["status"] == "pass", watched
    assert items["introspection tells good from bad"]["status"] == "pass"
    assert {item["checklist"] for item in items.values()} == {"before production", "ready for production"}
    assert all(item["mend"] for item in items.values() if item["status"] == "fail")
    assert "eyJ" not in done.stdout


def test_what_init_writes_is_checked_and_then_filled_in(lab: Commands, tmp_path: Path) -> None:
    issuer = load_target(str(lab.target)).issuer.url
    path = tmp_path / "mine.toml"
    done = lab.run("jwtdrill", "init", issuer, "--out", path, "--environment", "dev")
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    again = lab.run("jwtdrill", "init", issuer, "--out", path)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    first = lab.run("jwtdrill", "check", path)
    assert first.returncode == 1
    assert "file:client.pem: cannot be read" in " ".join(first.stdout.replace("│", " ").split())
    content, lab_file = tomlkit.parse(path.read_text()), tomlkit.parse(Path(lab.target).read_text())
    content["client"][0].update(id=lab_file["client"][0]["id"], kid=lab_file["client"][0]["kid"])
    content["client"][0]["key"] = f"file:{Path(lab.target).parent / 'keys/orders-client.pem'}"
    content["resource"] = [entry for entry in lab_file["resource"] if "mtls" not in entry]
    path.write_text(tomlkit.dumps(content))
    filled = lab.run("jwtdrill", "check", path, "--json")
    failing = [item["name"] for item in json.loads(filled.stdout) if item["status"] == "fail"]
    assert failing == ["key set: cache headers"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("idp.example", "must be an http or https URL"),
        ("http://127.0.0.1:1", "nobody listens at 127.0.0.1:1"),
        ("https://nowhere.invalid", "cannot be resolved"),
    ],
)
def test_a_wrong_issuer_is_one_line(lab: Commands, tmp_path: Path, url: str, message: str) -> None:
    done = lab.run("jwtdrill", "init", url, "--out", tmp_path / "x.toml")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.toml").exists()


def test_a_verifier_that_lets_forged_tokens_in_fails_the_preflight(lab: Commands, tmp_path: Path) -> None:
    """The lab's open page, called a resource: it accepts whatever comes."""
    content = tomlkit.parse(Path(lab.target).read_text())
    content["resource"][0]["url"] = content["resource"][0]["url"].replace("/orders", "/healthz")
    path = Path(lab.target).with_name("open.toml")
    path.write_text(tomlkit.dumps(content))
    done = lab.run("jwtdrill", "check", path, "--json")
    item = next(i for i in json.loads(done.stdout) if i["name"] == "verifier-a refuses bad tokens")
    assert (done.returncode, item["status"]) == (1, "fail")
    assert "no_token" in item["seen"]
