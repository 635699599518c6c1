"""Each locustfile for a flow, run as a user does: every answer is the one that it should be."""

import json
from pathlib import Path

import pytest
from tests.integration.conftest import Commands

pytestmark = pytest.mark.integration
RUNS = {
    "exchange": {
        ("token_exchange", "valid", "accepted"),
        ("broker", "valid", "accepted"),
        ("sts", "valid", "accepted"),
    },
    "introspection": {("introspect", "valid", "accepted"), ("introspect", "garbage", "rejected")},
    "lifecycle": {
        ("refresh", "valid", "accepted"),
        ("refresh", "refresh_reused", "rejected"),
        ("revoke", "valid", "accepted"),
        ("introspect", "revoked", "rejected"),
        ("call", "revoked", "rejected"),
    },
    "abuse": {("call", "valid", "accepted")},
    "documents": {("jwks", "valid", "accepted"), ("metadata", "valid", "accepted")},
    "mixed_day": {("call", "valid", "accepted"), ("client_credentials", "valid", "accepted")},
    "possession": {("call", "valid", "accepted"), ("client_credentials", "valid", "accepted")},
}
RESOURCES = {"possession": {"verifier-a, proof", "verifier-b, proof", "verifier-a-mtls"}}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("lifecycle", "abuse") else pytest.mark.slow) for name in RUNS]
)
def test_every_answer_is_the_one_that_it_should_be(lab: Commands, tmp_path: Path, name: str) -> None:
    done = lab.run(
        *("locust", "-f", f"loadtests/{name}.py", "--headless", "--only-summary", "--metrics-port", "0"),
        *("--target", lab.target, "-u", "10", "-r", "100", "-t", "4s", "--throughput", "5"),
        *("--report", tmp_path / "run.json"),
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr  # a busy machine may make it invalid, never wrong
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {(tally["flow"], tally["case"], tally["verdict"]) for tally in tallies} >= RUNS[name]
    assert not [tally for tally in tallies if tally["expected"] != tally["verdict"]]
    assert {tally["resource"] for tally in tallies} >= RESOURCES.get(name, set())
    if name == "abuse":
        assert len({tally["case"] for tally in tallies}) > 20


def test_a_target_that_lacks_what_a_flow_needs_is_told_so(lab: Commands, tmp_path: Path) -> None:
    import tomlkit

    content = tomlkit.parse(Path(lab.target).read_text())
    del content["foreign"]
    content["client"] = [entry for entry in content["client"] if "dpop" not in entry and "count" not in entry]
    path = Path(lab.target).with_name("little.toml")
    path.write_text(tomlkit.dumps(content))
    for name, user, message in (
        ("exchange", "Brokered", "no [[foreign]]"),
        ("possession", "Proving", "no [[client]] has dpop = true"),
        ("possession", "Certified", "no [[client]] has a certificate"),
    ):
        done = lab.run(
            *("locust", "-f", f"loadtests/{name}.py", "--headless", "--metrics-port", "0"),
            *("--target", path, "-u", "1", "-t", "2s", user),
        )
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
