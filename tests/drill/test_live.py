"""How the load fares while it runs, read from what it exports: shares of the last seconds, not of all time."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from jwtdrill.drill import live
from jwtdrill.drill.live import LiveLoad


class Exporter:
    """Serves the load's counters, which a test sets."""

    def __init__(self) -> None:
        self.good = self.failing = self.let_in = 0
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"

    def text(self) -> str:
        counts = {
            ("call", "valid", "accepted", "accepted"): self.good - self.failing,
            ("call", "valid", "accepted", "rejected"): self.failing,
            ("call", "expired", "rejected", "accepted"): self.let_in,
            ("call", "expired", "rejected", "rejected"): 500,
            ("client_credentials", "valid", "accepted", "errored"): 900,  # no call of a resource
        }
        lines = ["# TYPE jwtdrill_requests_total counter"]
        for (flow, case, expected, verdict), count in counts.items():
            labels = f'flow="{flow}",case="{case}",expected="{expected}",verdict="{verdict}"'
            lines.append(f"jwtdrill_requests_total{{{labels}}} {count}")
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exporter]:
    monkeypatch.setattr(live, "_EVERY", 0.0)
    server = Exporter()
    yield server
    server.close()


def seen(exporter: Exporter, *steps: tuple[int, int]) -> LiveLoad:
    """After looks between which so many good calls came, and so many of them failed."""
    load = LiveLoad(exporter.url)
    for good, failing in steps:
        exporter.good += good
        exporter.failing += failing
        load.look()
    return load


def test_the_share_that_fails_is_of_the_last_seconds(exporter: Exporter) -> None:
    assert seen(exporter, *[(100, 0)] * 5, (100, 50)).failing == pytest.approx(50 / 500)
    assert seen(exporter, (1000, 1000), *[(100, 0)] * 6).failing == 0


def test_of_too_few_calls_no_share_is_told(exporter: Exporter) -> None:
    assert seen(exporter, (49, 49)).failing == 0
    assert seen(exporter, (50, 50)).failing > 0


def test_it_is_clean_after_some_seconds_in_which_good_calls_came_and_none_failed(exporter: Exporter) -> None:
    assert not seen(exporter, *[(100, 0)] * 4).clean
    assert seen(exporter, *[(100, 0)] * 6).clean
    assert not seen(exporter, *[(100, 0)] * 5, (100, 1)).clean
    assert not seen(exporter, (100, 0), *[(0, 0)] * 6).clean


def test_bad_tokens_that_were_let_in_are_counted_and_refused_ones_are_not(exporter: Exporter) -> None:
    exporter.let_in = 3
    assert seen(exporter, (100, 0)).false_accepts == 3


def test_a_load_that_does_not_answer_changes_nothing(exporter: Exporter) -> None:
    load = seen(exporter, (100, 60))
    before = load.failing
    exporter.close()
    load.look()
    assert load.failing == before
