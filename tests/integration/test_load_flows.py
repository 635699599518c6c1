"""Each locustfile for a flow, run as a user does: every answer is the one that it should be."""

import http.server
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tomlkit
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


def test_a_ready_token_does_for_a_client(lab: Commands, tmp_path: Path) -> None:
    """Where no client can be had, calls are loaded all the same; what needs a client says so."""
    content = tomlkit.parse(Path(lab.target).read_text())
    form = "data={'grant_type': 'client_credentials'}"
    secret = f"open('{Path(lab.target).parent}/keys/client-secret').read()"
    asking = f"httpx.post('{content['issuer']['url']}/token', {form}, auth=('partner-client', {secret}))"
    fetch = f"import httpx; print({asking}.json()['access_token'])"
    for name in ("client", "signer", "foreign", "sts"):
        del content[name]
    content["token"] = [{"value": f'command:{sys.executable} -c "{fetch}"'}]
    path = Path(lab.target).with_name("ready-load.toml")
    path.write_text(tomlkit.dumps(content))
    arguments = (
        "--headless",
        "--only-summary",
        "--metrics-port",
        "0",
        "--target",
        path,
        "-u",
        "5",
        "-r",
        "5",
        "-t",
        "3s",
    )
    done = lab.run("locust", "-f", "loadtests/verification.py", *arguments, "--report", tmp_path / "run.json")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    tallies = json.loads((tmp_path / "run.json").read_text())["tallies"]
    assert {(tally["flow"], tally["verdict"]) for tally in tallies} == {("call", "accepted")}
    refused = lab.run("locust", "-f", "loadtests/issuance.py", *arguments)
    assert (refused.returncode, "no [[client]]" in refused.stderr) == (2, True), refused.stderr


@pytest.mark.parametrize(
    ("name", "user", "change", "message"),
    [
        ("exchange", "Brokered", ("foreign", 0, "alg", "RS256"), "the key is no key for RS256"),
        ("exchange", "CloudRole", ("sts", None, "token", "file:none"), "file:none: cannot be read"),
        ("possession", "Proving", ("client", 2, "key", "file:none.pem"), "file:none.pem: cannot be read"),
        ("possession", "Certified", ("client", 3, "certificate", "file:keys/{n}.pem"), "keys/1.pem: cannot be read"),
        ("lifecycle", "Refreshing", ("client", 0, "refresh_token", "command:false"), "failed with exit status 1"),
        ("verification", "Verification", ("client", 0, "key", "file:keys/signer.pem"), "is no key for ES256"),
    ],
)
def test_what_a_flow_will_need_is_read_before_any_load(
    lab: Commands, name: str, user: str, change: tuple[str, int | None, str, str], message: str
) -> None:
    content = tomlkit.parse(Path(lab.target).read_text())
    table, place, key, value = change
    entry = content[table] if place is None else content[table][place]  # type: ignore[index]
    entry[key] = value  # type: ignore[index]
    path = Path(lab.target).with_name("wrong.toml")
    path.write_text(tomlkit.dumps(content))
    done = lab.run(
        *("locust", "-f", f"loadtests/{name}.py", "--headless", "--metrics-port", "0"),
        *("--target", path, "-u", "1", "-t", "2s", user),
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_task_that_fails_by_itself_is_no_success(lab: Commands, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(
        "from locust import task\nfrom jwtdrill.load.users import TokenHolder\n"
        "from jwtdrill.tokens.cases import CASES\n\n\nclass Broken(TokenHolder):\n    @task\n"
        "    def call_one(self) -> None:\n        self.call(self.calls[99], CASES['valid'])\n"
    )
    for rate in ((), ("--rate", "20")):
        done = lab.run(
            *("locust", "-f", path, "--headless", "--only-summary", "--metrics-port", "0"),
            *("--target", lab.target, "-u", "2", "-t", "2s", *rate),
        )
        assert done.returncode == 3, done.stdout + done.stderr
        assert "a client's task failed: IndexError" in done.stdout


class Deaf(http.server.BaseHTTPRequestHandler):
    """Accepts whatever comes, and counts."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self.asked.append(time.monotonic())
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing is to be said."""


def test_looks_at_a_token_that_stays_good_keep_within_the_limit(lab: Commands) -> None:
    """A resource that never hears of revocations is asked again and again, and still no more than is allowed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Deaf)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    content = tomlkit.parse(Path(lab.target).read_text())
    url = f"http://127.0.0.1:{server.server_port}/"
    content["resource"] = [{"name": "deaf", "url": url, "audience": "https://orders.example"}]
    content["limits"]["rate"] = 40  # type: ignore[index]
    path = Path(lab.target).with_name("deaf.toml")
    path.write_text(tomlkit.dumps(content))
    arguments = ("--target", path, "-u", "5", "-r", "5", "-t", "6s", "--rate", "20", "Revoking")
    done = lab.run("locust", "-f", "loadtests/lifecycle.py", "--headless", "--metrics-port", "0", *arguments)
    server.shutdown()
    server.server_close()
    assert "Traceback" not in done.stderr
    assert len(Deaf.asked) > 20
    busiest = max(sum(begin <= moment < begin + 1 for moment in Deaf.asked) for begin in Deaf.asked)
    assert busiest < 60  # twenty that are spare, and what was due in a second of Poisson's
