"""A real Alertmanager with the built configuration: who is told, with which secret, and what is kept from them."""

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.integration.conftest import missing_programs, until

from jwtdrill.catalog.alerting import DetectionAlert, Route
from jwtdrill.catalog.alerts import ALERTS, DRILL_DECLARED
from jwtdrill.catalog.objectives import Severity, objectives
from jwtdrill.drill.declaring import Declaration
from jwtdrill.drill.watcher import AlertWatcher
from jwtdrill.observe.routes import Receivers, receiver
from jwtdrill.observe.stack import Scrape, Stack
from jwtdrill.observe.timing import TimeScale
from jwtdrill.processes.programs import require_program
from jwtdrill.processes.supervisor import Supervisor, free_port
from jwtdrill.target.model import Target

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(missing_programs(), reason="Prometheus and Alertmanager are not installed"),
]
ISSUER = "https://i"
Labels = dict[str, str]


@dataclass
class Service:
    """What is scraped and what takes notifications: a process of the user's and his pager in one."""

    good: int = 0
    bad: int = 0
    failing: bool = False
    told: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def metrics(self) -> str:
        if self.failing:
            self.bad += 50
        else:
            self.good += 50
        labels = f'issuer="{ISSUER}",audience="a",kid="k",alg="RS256"'
        return (
            f'jwt_verification_total{{{labels},result="success",reason=""}} {self.good}\n'
            f'jwt_verification_total{{{labels},result="failure",reason="key_unavailable"}} {self.bad}\n'
        )

    def at(self, name: str, environment: str) -> list[dict[str, Any]]:
        """The alerts of that environment that this receiver was told of."""
        return [
            alert
            for path, _, content in self.told
            if path == f"/{name}"
            for alert in content["alerts"]
            if alert["labels"]["environment"] == environment
        ]

    def handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(service.metrics().encode())

            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.told.append((self.path, self.headers.get("Authorization", ""), content))
                self.answer(b"")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@dataclass(frozen=True)
class Watched:
    """A stack that runs, and the service that it watches and tells."""

    stack: Stack
    service: Service

    def post(self, *alerts: Labels, lasts: float = 600) -> None:
        now = time.time()
        begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(t)) for t in (now - 1, now + lasts))
        content = [{"labels": labels, "startsAt": begin, "endsAt": end} for labels in alerts]
        httpx.post(f"{self.stack.alertmanager}/api/v2/alerts", json=content).raise_for_status()

    def suppressed(self, labels: Labels) -> bool:
        """Whether that alert is known, and kept from whoever would hear of it."""
        filters = [("filter", f'{name}="{value}"') for name, value in labels.items()]
        [alert] = httpx.get(f"{self.stack.alertmanager}/api/v2/alerts", params=filters).json()
        return bool(alert["status"]["state"] == "suppressed")

    def ask(self, query: str) -> float | None:
        answer = httpx.get(f"{self.stack.prometheus}/api/v1/query", params={"query": query}).json()
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def amtool(self, *arguments: str) -> str:
        done = subprocess.run(
            [require_program("amtool"), f"--alertmanager.url={self.stack.alertmanager}", *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Prometheus and Alertmanager at sixty times the speed, with a secret in a file for each receiver."""
    folder, service = tmp_path_factory.mktemp("stack"), Service()
    secrets = folder / "secrets"
    secrets.mkdir()
    for name in receivers():
        (secrets / name).write_text(f"token-of-{name}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), service.handler())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    taken_by = Receivers(f"http://{address}", str(secrets))
    stack = Stack(folder, free_port(), free_port(), TimeScale(60), taken_by)
    stack.write(objectives(), [Scrape("service", address)], "staging")
    with Supervisor(folder) as supervisor:
        stack.start(supervisor)
        yield Watched(stack, service)
    server.shutdown()
    server.server_close()


def receivers() -> list[str]:
    return [receiver(route, severity) for route in Route for severity in Severity]


def alert(name: str, severity: str, environment: str, issuer: str = ISSUER, **more: str) -> Labels:
    return {"alertname": name, "severity": severity, "environment": environment, "issuer": issuer, **more}


def test_each_team_is_told_with_its_secret_and_told_when_it_is_over(watched: Watched) -> None:
    sent = [
        alert(f"Of{route}{severity}", severity, "delivery", f"https://{route}.{severity}", route=route)
        for route in Route
        for severity in Severity
    ]
    watched.post(*sent, lasts=5)
    until(lambda: all(watched.service.at(name, "delivery") for name in receivers()), 20)
    for path, authorization, content in watched.service.told:
        assert authorization == f"Bearer token-of-{path[1:]}"
        assert content["groupLabels"].keys() == {"environment", "issuer"}
        assert content["commonLabels"]["route"] == path[1:].partition("-")[0]
    until(
        lambda: all(any(a["status"] == "resolved" for a in watched.service.at(n, "delivery")) for n in receivers()), 30
    )


def test_what_concerns_one_issuer_comes_together_and_another_by_itself(watched: Watched) -> None:
    watched.post(
        alert("One", "page", "grouping", route="platform"),
        alert("Other", "page", "grouping", route="platform"),
        alert("One", "page", "grouping", "https://other", route="platform"),
        alert(DRILL_DECLARED, "page", "grouping", route="platform", declares="Nothing"),
    )
    until(lambda: len(watched.service.at("platform-page", "grouping")) >= 3, 20)
    groups = sorted(
        [a["labels"]["alertname"] for a in content["alerts"]]
        for _, _, content in watched.service.told
        if content["groupLabels"]["environment"] == "grouping"
    )
    assert groups == [["One"], ["One", "Other"]]


def page(alert: object) -> str:
    return alert.severity if isinstance(alert, DetectionAlert) else Severity.PAGE


def silenced() -> Iterable[tuple[str, Labels, Labels]]:
    """What is kept from people: by which alert, and which. Each in an environment of its own."""
    yield (
        "faster",
        alert("JwtCanaryBudgetBurn", "page", "", tier="14.4x"),
        alert("JwtCanaryBudgetBurn", "ticket", "", tier="1x"),
    )
    for cause in ALERTS:
        for symptom in cause.silences:
            severity = page(cause)
            yield f"{cause.name} {symptom}", alert(cause.name, severity, ""), alert(symptom, "ticket", "")
    for declared in ALERTS:
        if {"environment", "issuer"} & set(declared.by):
            yield (
                f"declared {declared.name}",
                alert(DRILL_DECLARED, "", "", declares=declared.name),
                alert(declared.name, page(declared), ""),
            )


def heard() -> Iterable[tuple[str, Labels, Labels]]:
    """What is not, though something like it is."""
    burn = "JwtVerificationBudgetBurn"
    yield "slower", alert(burn, "ticket", "", tier="1x"), alert(burn, "page", "", tier="14.4x")
    yield "another issuer", alert(burn, "page", "", "https://o", tier="14.4x"), alert(burn, "page", "", tier="6x")
    yield (
        "a ticket's page",
        alert("JwtIssuanceBudgetBurn", "ticket", "", tier="1x"),
        alert("JwtIssuanceLatencyBudgetBurn", "page", "", tier="6x"),
    )
    yield "no symptom", alert("JwtClockOffset", "ticket", ""), alert("JwtExpiredTokenStorm", "ticket", "")
    yield (
        "not declared",
        alert(DRILL_DECLARED, "", "", declares="JwtClockOffset"),
        alert(burn, "page", "", tier="14.4x"),
    )
    yield (
        "declared elsewhere",
        alert(DRILL_DECLARED, "", "", "https://o", declares="JwtClockOffset"),
        alert("JwtClockOffset", "ticket", ""),
    )


def test_causes_faster_tiers_and_declared_drills_silence_what_they_should_and_no_more(watched: Watched) -> None:
    cases = [(True, *case) for case in silenced()] + [(False, *case) for case in heard()]
    for number, (_, _, source, target) in enumerate(cases):
        source["environment"] = target["environment"] = f"case{number}"
        watched.post(source, target)
    wrong = [name for should, name, _, target in cases if watched.suppressed(target) is not should]
    assert not wrong


def test_a_maintenance_window_silences_pages_and_keeps_records(watched: Watched) -> None:
    """j. Prometheus records and fires on, nobody is told; when the window is closed they are."""
    silence = watched.amtool(
        "silence", "add", "--author=sre", "--comment=maintenance", "--duration=1h", "environment=staging"
    )
    watched.service.failing = True
    until(lambda: bool(watched.ask('ALERTS{alertname="JwtVerificationBudgetBurn", alertstate="firing"}')), 30)
    [page] = [labels for labels in firing(watched) if labels.get("tier") == "14.4x"]
    until(lambda: watched.suppressed(page), 10)
    time.sleep(6)  # longer than the group's wait and interval at this scale
    assert not watched.service.at("platform-page", "staging")
    burned = watched.ask('sum(sum_over_time(jwtdrill:events_bad:events{objective="verification"}[5m]))')
    assert burned is not None
    assert burned >= 300
    watched.amtool("silence", "expire", silence)
    until(lambda: bool(watched.service.at("platform-page", "staging")), 30)


def test_a_drill_declares_what_it_raises_hears_it_and_lets_go(watched: Watched) -> None:
    """Nobody is told of it, the drill's own watch hears it all the same, and of others both."""
    watch = {"alertmanager": watched.stack.alertmanager, "time_scale": 1800}
    target = Target.model_validate({"environment": "test", "issuer": {"url": ISSUER}, "watch": watch})
    declared, other = (
        alert(name, "ticket", "test", route="platform") for name in ("JwtClockOffset", "JwtRotationFailed")
    )
    watcher, declaration = AlertWatcher(watched.stack.alertmanager), Declaration(target, ["JwtClockOffset"])
    watched.post(declared, other)
    until(lambda: {"JwtClockOffset", "JwtRotationFailed"} <= {span.name for span in watcher.active()}, 10)
    until(lambda: bool(watched.service.at("platform-ticket", "test")), 20)
    assert watched.suppressed(declared)
    assert {a["labels"]["alertname"] for a in watched.service.at("platform-ticket", "test")} == {"JwtRotationFailed"}
    assert DRILL_DECLARED not in {span.name for span in watcher.spans()}
    watcher.stop()
    declaration.close()  # and lasts on for half an hour, at this scale a second, or what is left of its lease
    until(lambda: not watched.suppressed(declared), 25)


def firing(watched: Watched) -> list[Labels]:
    until(
        lambda: bool(
            httpx.get(f"{watched.stack.alertmanager}/api/v2/alerts", params={"filter": 'environment="staging"'}).json()
        ),
        20,
    )
    answer = httpx.get(f"{watched.stack.alertmanager}/api/v2/alerts", params={"filter": 'environment="staging"'})
    return [found["labels"] for found in answer.json() if found["labels"]["alertname"] == "JwtVerificationBudgetBurn"]
