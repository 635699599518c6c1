"""Locust as users run it: verdicts, exit codes, exact totals, metrics; and the dashboards over what it leaves."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.conftest import ROOT, Commands, processes_naming, until

from jwtdrill.catalog.alerts import ALERT_NAMES
from jwtdrill.load.scoreboard import read_tallies
from jwtdrill.observe.files import build_dashboards
from jwtdrill.processes.scraping import announce, announcement
from jwtdrill.processes.supervisor import free_port
from jwtdrill.target.load import load_target

pytestmark = pytest.mark.integration


def served(lab: Commands) -> dict[str, float]:
    """Answers by status that the verifiers counted themselves, canary and others excluded by difference."""
    counts: dict[str, float] = {}
    for url in {resource.metrics for resource in load_target(str(lab.target)).resource if resource.metrics}:
        for line in httpx.get(url).text.splitlines():
            found = re.match(r'jwt_protected_requests_total\{.*code="(\d+)".*\} (\S+)', line)
            if found:
                counts[found[1]] = counts.get(found[1], 0) + float(found[2])
    return counts


def locust(lab: Commands, name: str, *more: str | Path) -> list[str | Path]:
    return ["locust", "-f", f"loadtests/{name}.py", "--headless", "--target", lab.target, "--metrics-port", "0", *more]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_the_totals_are_what_the_servers_counted(lab: Commands, tmp_path: Path, processes: tuple[str, ...]) -> None:
    before = served(lab)
    done = lab.run(
        *locust(lab, "verification", "-u", "10", "-r", "10", "-t", "6s", "--throughput", "20", *processes),
        *("--cases", "valid=6,expired=1,bad_signature=1,alg_none=1,wrong_audience=1,not_yet_valid=1,unknown_kid=1"),
        *("--report", tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "HELD" in done.stdout
    counts = read_tallies(json.loads((tmp_path / "run.json").read_text())["tallies"])
    calls = {t: n for t, n in counts.items() if t.flow == "call"}
    accepted = sum(n for t, n in calls.items() if t.verdict.value == "accepted")
    rejected = sum(n for t, n in calls.items() if t.verdict.value == "rejected")
    after = served(lab)
    assert accepted == after["200"] - before.get("200", 0)
    assert rejected == after["401"] - before.get("401", 0)
    assert sum(calls.values()) == accepted + rejected > 300
    assert {t.case for t in calls} == {
        *("valid", "expired", "bad_signature", "alg_none", "wrong_audience", "not_yet_valid", "unknown_kid")
    }


def test_issuance_is_loaded_by_both_grants(lab: Commands, tmp_path: Path) -> None:
    done = lab.run(*locust(lab, "issuance", "-u", "5", "-r", "5", "-t", "4s", "--report", tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((tmp_path / "run.json").read_text())
    assert {tally["flow"] for tally in content["tallies"]} == {"client_credentials", "jwt_bearer"}
    assert all(tally["verdict"] == "accepted" for tally in content["tallies"])


def test_a_verifier_that_lets_bad_tokens_in_fails_the_run(lab: Commands, tmp_path: Path) -> None:
    """The issuer's metrics page accepts whatever one sends: a resource without a check."""
    text = lab.target.read_text()
    issuer = load_target(str(lab.target)).issuer.url
    target = lab.folder / "open.toml"
    target.write_text(re.sub(r'url = "http:[^"]*/orders"', f'url = "{issuer}/metrics"', text))
    done = lab.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--target", target, "--metrics-port", "0"),
        *("-u", "2", "-r", "2", "-t", "3s", "--cases", "valid=1,expired=1"),
    )
    target.unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "VIOLATED: False accepts" in done.stdout


def test_the_limit_of_tokens_makes_the_run_invalid(lab: Commands) -> None:
    target = lab.folder / "limited.toml"
    target.write_text(lab.target.read_text().replace("tokens = 1000000", "tokens = 7"))
    done = lab.run(
        *("locust", "-f", "loadtests/issuance.py", "--headless", "--target", target, "--metrics-port", "0"),
        *("-u", "2", "-r", "2", "-t", "3s"),
    )
    target.unlink()
    assert done.returncode == 3, done.stdout + done.stderr
    assert "INVALID" in done.stdout
    assert "limits.tokens of the target file is used up" in done.stdout
    assert re.search(r"client_credentials|jwt_bearer", done.stdout)


def test_the_limit_of_the_rate_is_kept(lab: Commands, tmp_path: Path) -> None:
    target = lab.folder / "slow.toml"
    target.write_text(lab.target.read_text().replace("rate = 10000", "rate = 20"))
    done = lab.run(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--target", target, "--metrics-port", "0"),
        *("-u", "10", "-r", "10", "-t", "6s", "--throughput", "50", "--processes", "2", "--report", tmp_path),
    )
    target.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    counts = read_tallies(json.loads((tmp_path / "run.json").read_text())["tallies"])
    sent = sum(count for tally, count in counts.items() if tally.flow == "call")
    assert 60 < sent <= 20 * 6 + 2 * 10  # each client's first request and the last second's may come on top


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "/none.toml"], "/none.toml: cannot be read"),
        (["--target", "{target}", "--cases", "vlaid"], "unknown case 'vlaid': did you mean valid?"),
        (["--target", "{target}", "--throughput", "0"], "--throughput must be more than 0"),
        (["--target", "{target}", "--report", "/proc/none"], "--report /proc/none: cannot be written"),
        (["--target", "{dead}"], "nobody listens at"),
        (["--target", "{production}"], "environment is production"),
        (["--target", "{target}", "--metrics-port", "{taken}"], "is in use"),
        (["--target", "{target}", "--metrics-port", "99999"], "choose one up to 65535"),
    ],
)
@pytest.mark.parametrize("mode", [["--headless"], ["--headless", "--processes", "2"]])
def test_bad_input_is_one_line_and_no_load(lab: Commands, arguments: list[str], message: str, mode: list[str]) -> None:
    text = lab.target.read_text()
    (lab.folder / "dead.toml").write_text(
        re.sub(r'\[issuer\]\nurl = "[^"]*"', '[issuer]\nurl = "http://127.0.0.1:1"', text)
    )
    (lab.folder / "production.toml").write_text(text.replace('environment = "lab"', 'environment = "production"'))
    watch = load_target(str(lab.target)).watch.prometheus
    assert watch is not None
    places = {
        "target": str(lab.target),
        "dead": str(lab.folder / "dead.toml"),
        "production": str(lab.folder / "production.toml"),
        "taken": watch.rpartition(":")[2],
    }
    given = [argument.format(**places) for argument in arguments]
    done = lab.run("locust", "-f", "loadtests/verification.py", *mode, "-u", "1", "-t", "1s", *given)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert (done.stderr.count("\n"), done.stdout) == (1, "")


def test_ctrl_c_ends_the_run_with_its_results(lab: Commands, tmp_path: Path) -> None:
    before = served(lab)
    process = lab.start(*locust(lab, "verification", "-u", "5", "-r", "5", "--report", tmp_path))
    until(lambda: sum(served(lab).values()) - sum(before.values()) > 50, 20)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 3), out  # on a busy machine so short a run may be invalid; its counts are right
    content = json.loads((tmp_path / "run.json").read_text())
    sent = sum(tally["count"] for tally in content["tallies"] if tally["flow"] == "call")
    assert sent == sum(served(lab).values()) - sum(before.values())
    assert not processes_naming("loadtests/verification.py")


def test_with_the_web_ui_it_is_started_and_stopped_from_the_browser(lab: Commands, tmp_path: Path) -> None:
    port = free_port()
    process = lab.start(
        *("locust", "-f", "loadtests/verification.py", "--target", lab.target, "--metrics-port", "0"),
        *("--web-host", "127.0.0.1", "--web-port", str(port), "--report", tmp_path),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), 20)
        started = httpx.post(f"{url}/swarm", data={"user_count": "3", "spawn_rate": "3", "cases": "valid=1,expired=1"})
        assert started.json()["success"], started.text
        until(lambda: httpx.get(f"{url}/stats/requests").json()["user_count"] == 3, 20)
        time.sleep(3)
        httpx.get(f"{url}/stop")
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out
    assert "HELD" in out
    counts = read_tallies(json.loads((tmp_path / "run.json").read_text())["tallies"])
    assert {tally.case for tally in counts} == {"valid", "expired"}


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


# Panels of what the lab's verifiers do not look for.
@pytest.fixture(scope="module")
def watched(lab: Commands) -> Iterator[Commands]:
    """The lab under load, with the canary, all scraped for a while."""
    target = load_target(str(lab.target))
    assert target.watch.file_sd is not None
    load_port, canary_port = free_port(), free_port()
    canary = lab.start("jwtdrill", "canary", lab.target, "--port", str(canary_port))
    load = lab.start(
        *("locust", "-f", "loadtests/verification.py", "--headless", "--target", lab.target),
        *("-u", "10", "-r", "10", "--cases", "valid=98,expired=1,bad_signature=1", "--metrics-port", str(load_port)),
    )
    introspection = lab.start(
        "locust", "-f", "loadtests/introspection.py", "--headless", "--target", lab.target, "-u", "1"
    )
    folder, ports = target.watch.file_sd, {"load": load_port, "canary": canary_port}
    assert folder is not None
    for name, port in ports.items():
        announce(folder, name, port)
    try:
        until(lambda: query(lab, "sum(jwtdrill_requests_total) > 100 and sum(jwtdrill_canary_total) > 10") != [], 60)
        time.sleep(8)  # so that rates have their samples
        until(lambda: query(lab, 'ALERTS{alertstate="firing"}') == [], 60)  # what tests before sent is forgotten
        yield lab
    finally:
        for process in (load, canary, introspection):
            process.terminate()
            process.communicate(timeout=30)
        for name in ports:
            announcement(folder, name).unlink()


def query(lab: Commands, expr: str) -> list[dict[str, object]]:
    url = load_target(str(lab.target)).watch.prometheus
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expr}).json()
    assert answer["status"] == "success", (expr, answer)
    result: list[dict[str, object]] = answer["data"]["result"]
    return result


def test_every_panels_query_returns_data_in_the_lab(watched: Commands) -> None:
    # Within 45 s the canary asks for a token twice, so that there is a latency of token requests to show.
    variables = {"$__rate_interval": "45s", "$__range": "1m", "$environment": ".*", "$issuer": ".*"}
    empty = []
    for name, text in build_dashboards(ROOT / "dashboards").items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"]
                for variable, value in variables.items():
                    expr = expr.replace(variable, value)
                values = [sample["value"][1] for sample in query(watched, expr)]  # type: ignore[index]
                if not [value for value in values if value != "NaN"]:
                    empty.append((name, panel["title"], expr))
    assert not empty


def test_every_runbooks_query_runs_in_the_lab(watched: Commands) -> None:
    """A real Prometheus takes it; query fails the test for what it refuses."""
    pages = sorted((ROOT / "docs/runbooks").glob("*.md"))
    queries = [
        (page.stem, found)
        for page in pages
        for found in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    assert {page for page, _ in queries} == set(ALERT_NAMES)
    answered = sum(bool(query(watched, expr)) for _, expr in queries)
    assert answered > len(queries) / 4  # a healthy lab has no failures to show


def test_a_healthy_lab_under_load_burns_nothing(watched: Commands) -> None:
    assert query(watched, 'ALERTS{alertstate="firing"}') == []
    [burn] = query(watched, 'jwtdrill:burn_rate:1h{objective="verification"}')
    assert burn["value"][1] == "0"  # type: ignore[index]


def test_the_canary_says_what_it_sees(watched: Commands) -> None:
    assert len(query(watched, 'jwtdrill_canary_total{result="success"} > 5')) == 2
    assert query(watched, 'sum(jwtdrill_canary_total{result="failure"})')[0]["value"][1] == "0"  # type: ignore[index]
    assert query(watched, "jwtdrill_jwks_age_seconds < 10")
    assert query(watched, "jwtdrill_kid_first_seen_timestamp_seconds") == []  # no key came since it began to look


def test_the_canary_with_bad_input_is_one_line(lab: Commands) -> None:
    taken = (load_target(str(lab.target)).watch.prometheus or "").rpartition(":")[2]
    for arguments, message in (
        (("/none.toml",), "cannot be read"),
        ((lab.target, "--port", taken), "cannot be opened"),
    ):
        done = lab.run("jwtdrill", "canary", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr
