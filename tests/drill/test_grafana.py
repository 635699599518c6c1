"""Grafana is told of each fault and phase once it is over; a Grafana that does not take it stops no drill."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jwtdrill.drill.grafana import annotator
from jwtdrill.drill.record import Interval
from jwtdrill.errors import BadInputError
from jwtdrill.target.load import load_target
from jwtdrill.target.model import Target


class Grafana:
    """A server on loopback that takes annotations as Grafana's API does, and remembers how it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                grafana.asked.append((self.path, self.headers.get("Authorization", ""), body))
                answer = b'{"message": "Annotation added", "id": 1}'
                self.send_response(grafana.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    server = Grafana()
    yield server
    server.close()


def target(folder: Path, watch: str) -> Target:
    path = folder / "target.toml"
    path.write_text(f'environment = "staging"\n[issuer]\nurl = "http://127.0.0.1:1"\n[watch]\n{watch}')
    return load_target(str(path))


def test_a_fault_becomes_a_region_that_can_be_found_by_its_tags(grafana: Grafana, tmp_path: Path) -> None:
    (tmp_path / "grafana.token").write_text("glsa_secret\n")
    said: list[str] = []
    watched = target(tmp_path, f'grafana = "{grafana.url}/grafana/"\ngrafana_token = "file:grafana.token"')
    annotate = annotator(watched, "jwks_outage", said.append)
    annotate("fault", "jwks.status", Interval(1_795_615_801.2041, 1_795_615_826.25))
    annotate("phase", "recovery", Interval(1_795_615_826.25, 1_795_615_844.0))
    (path, token, fault), (_, _, phase) = grafana.asked
    assert (path, token) == ("/grafana/api/annotations", "Bearer glsa_secret")
    assert (fault["time"], fault["timeEnd"]) == (1_795_615_801_204, 1_795_615_826_250)
    assert fault["tags"] == ["jwtdrill", "fault", "jwks.status", "jwks_outage", "staging"]
    assert fault["text"] == "Drill jwks_outage: fault jwks.status"
    assert phase["tags"] == ["jwtdrill", "phase", "recovery", "jwks_outage", "staging"]
    assert not said


def test_without_a_token_none_is_sent(grafana: Grafana, tmp_path: Path) -> None:
    annotator(target(tmp_path, f'grafana = "{grafana.url}"'), "d", print)("fault", "jwks.status", Interval(1, 2))
    assert grafana.asked[0][1] == ""


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_grafana_that_refuses_is_said_once_and_left_alone(grafana: Grafana, tmp_path: Path, status: int) -> None:
    grafana.status = status
    said: list[str] = []
    (tmp_path / "grafana.token").write_text("glsa_secret")
    watched = target(tmp_path, f'grafana = "{grafana.url}"\ngrafana_token = "file:grafana.token"')
    annotate = annotator(watched, "d", said.append)
    for _ in range(3):
        annotate("fault", "jwks.status", Interval(1, 2))
    assert len(grafana.asked) == 1
    assert said == [f"no annotations in Grafana: {grafana.url}/api/annotations answers {status}"]


def test_nobody_there_and_no_token_there_are_said_in_one_line(grafana: Grafana, tmp_path: Path) -> None:
    grafana.close()
    said: list[str] = []
    annotate = annotator(target(tmp_path, f'grafana = "{grafana.url}"'), "d", said.append)
    annotate("fault", "jwks.status", Interval(1, 2))
    annotate("fault", "jwks.status", Interval(1, 2))
    assert said == [f"no annotations in Grafana: {grafana.url}/api/annotations: ConnectError"]
    watched = target(tmp_path, f'grafana = "{grafana.url}"\ngrafana_token = "file:none"')
    annotator(watched, "d", said.append)("fault", "jwks.status", Interval(1, 2))
    assert said[1:] == ["no annotations in Grafana: file:none: cannot be read: No such file or directory"]


def test_without_a_grafana_nothing_happens(tmp_path: Path) -> None:
    annotator(target(tmp_path, ""), "d", pytest.fail)("fault", "jwks.status", Interval(1, 2))


def test_a_token_without_a_grafana_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="grafana_token belongs to a Grafana"):
        target(tmp_path, 'grafana_token = "file:grafana.token"')
