"""Bad traffic comes at the rate that was asked for, and its ground truth holds for every single request."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry
from tests.probe.misused import Misused, serving

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.verdicts import Expected, Tally, Verdict
from jwtdrill.errors import BadInputError
from jwtdrill.flows.misuse import KINDS
from jwtdrill.probe.traffic import Order, Tallies, run
from jwtdrill.processes.supervisor import free_port
from jwtdrill.target.model import Target

Seen = Counter[tuple[str, str, str]]  # case, expected, verdict


@pytest.fixture(scope="module")
def misused() -> Iterator[Misused]:
    with serving(Misused()) as served:
        yield served


def seen(rows: list[dict[str, Any]]) -> Seen:
    counts: Seen = Counter()
    for row in rows:
        counts[row["case"], row["expected"], row["verdict"]] += row["count"]
    return counts


def send(target: Target, kind: str, lasting: float = 0.6, **params: Any) -> Seen:
    order = Order(kind, {"rate": 40, **params}, lasting)
    return seen(asyncio.run(asyncio.wait_for(run(target, order), 30)))


RIGHT = {
    "forged": ({}, {"bad_signature": "rejected"}),
    "unknown_kid": ({}, {"unknown_kid": "rejected"}),
    "expired": ({}, {"expired": "rejected"}),
    "wrong_audience": ({}, {"wrong_audience": "rejected"}),
    "over_scoped": ({}, {"over_scoped": "accepted"}),
    "replay": ({}, {"valid": "accepted", "replayed": "rejected"}),
    "spray": ({}, {"sprayed": "accepted"}),
    "refresh_reuse": ({}, {"valid": "accepted", "refresh_reused": "rejected"}),
    "skewed_claims": ({"seconds": 600}, {"skewed_claims": "rejected"}),
}


def test_there_is_an_expectation_for_each_kind() -> None:
    assert set(RIGHT) == set(KINDS)


@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_target_does_what_each_kind_should_meet_with(misused: Misused, tmp_path: Path, kind: str) -> None:
    params, expected = RIGHT[kind]
    counts = send(misused.target(tmp_path), kind, **params)
    assert all(wanted == did for _, wanted, did in counts), counts
    assert expected.items() <= {case: wanted for case, wanted, _ in counts}.items()
    assert 20 <= counts.total() <= 0.6 * 40 + 1


@pytest.mark.parametrize(
    ("kind", "flaw"),
    [
        ("forged", "ignores_signature"),
        ("unknown_kid", "ignores_signature"),
        ("expired", "ignores_exp"),
        ("wrong_audience", "ignores_aud"),
    ],
)
def test_a_target_with_the_flaw_is_seen_to_let_them_in(tmp_path: Path, kind: str, flaw: str) -> None:
    with serving(Misused(flaw)) as flawed:
        counts = send(flawed.target(tmp_path), kind)
    assert any((expected, did) == ("rejected", "accepted") for _, expected, did in counts), counts


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0, "accepted"), (90, "rejected"), (-50, "accepted"), (-150, "rejected")]
)
def test_a_shift_of_times_is_judged_by_what_the_resource_forgives(
    misused: Misused, tmp_path: Path, seconds: int, verdict: str
) -> None:
    """It forgives 60 s at most, and the tokens last 60 s."""
    counts = send(misused.target(tmp_path), "skewed_claims", seconds=seconds)
    assert set(counts) == {("skewed_claims", verdict, verdict)}


@pytest.mark.parametrize("seconds", [1, 30, 61, -59, -100, -121])
def test_a_shift_whose_verdict_nobody_knows_is_refused(misused: Misused, tmp_path: Path, seconds: int) -> None:
    with pytest.raises(BadInputError, match="nobody knows what a shift of"):
        send(misused.target(tmp_path), "skewed_claims", seconds=seconds)


def test_a_stolen_keys_tokens_are_right_until_the_time_that_was_told(misused: Misused, tmp_path: Path) -> None:
    counts = send(misused.target(tmp_path), "forged", 1.0, stolen_key=True, rejected_after=0.5)
    assert counts["stolen_key", "accepted", "accepted"] == pytest.approx(20, abs=2)
    assert counts["stolen_key", "rejected", "accepted"] == pytest.approx(20, abs=2)
    assert counts.total() == sum(count for (case, _, _), count in counts.items() if case == "stolen_key")


def test_a_first_use_without_an_answer_is_no_use(tmp_path: Path) -> None:
    """Whether the token counts as used is not known then: it must not be sent as a replay, whose verdict would be."""
    with serving(Misused(lost=1)) as lossy:
        counts = send(lossy.target(tmp_path), "replay", 2.5)
        tokens = lossy.granted["client_credentials"]
    assert counts["valid", "accepted", "errored"] == 1
    assert counts["valid", "accepted", "accepted"] == 1
    assert counts["replayed", "rejected", "rejected"] > 20
    assert counts.total() == 2 + counts["replayed", "rejected", "rejected"]
    assert tokens == 2


def test_one_token_comes_from_many_addresses(tmp_path: Path) -> None:
    with serving(Misused()) as sprayed:
        counts = send(sprayed.target(tmp_path), "spray", 1.0, addresses=10)
        assert sprayed.granted["client_credentials"] == 1
        assert sprayed.asked["/payments"] == 0  # where a token is good once
    assert set(counts) == {("sprayed", "accepted", "accepted")}
    assert len(sprayed.forwarded) == 10
    assert all(address.startswith(("198.51.100.", "203.0.113.")) for address in sprayed.forwarded)
    assert sprayed.senders == {f"127.0.0.{number}" for number in range(2, 12)}


def test_without_a_signing_key_genuine_tokens_are_waited_out(tmp_path: Path) -> None:
    """It forgives 30 s: what it gives has two seconds left."""
    with serving(Misused(lifetime=-28)) as brief:
        target = brief.target(tmp_path, "[[signer]]", **{"\naudience": "\nleeway = 30\naudience"})
        counts = send(target, "expired", 5.5)
        assert brief.granted["client_credentials"] >= 1
    assert set(counts) == {("expired", "rejected", "rejected")}
    assert 30 < counts.total() < 120  # the first three seconds or four were silent


def test_tokens_that_last_too_long_are_not_waited_out(tmp_path: Path) -> None:
    with serving(Misused(lifetime=3600)) as lasting, pytest.raises(BadInputError, match=r"add \[\[signer\]\]"):
        send(lasting.target(tmp_path, "[[signer]]"), "expired")


def test_an_old_token_storm_comes_after_its_silence(misused: Misused, tmp_path: Path) -> None:
    counts = send(misused.target(tmp_path), "expired", 1.0, after=0.5)
    assert set(counts) == {("expired", "rejected", "rejected")}
    assert counts.total() == pytest.approx(20, abs=2)


def test_no_more_tokens_are_asked_for_than_the_limit_allows(tmp_path: Path) -> None:
    with serving(Misused()) as served:
        target = served.target(tmp_path, **{"rate = 500": "rate = 500\ntokens = 2"})
        counts = send(target, "refresh_reuse", 2.5, rate=100)
        assert served.granted["jwt-bearer"] == 1
    assert counts["valid", "accepted", "accepted"] == 2
    assert counts["refresh_reused", "rejected", "rejected"] > 100


def test_seconds_beyond_count_are_counted_together() -> None:
    tallies = Tallies(Instruments(CollectorRegistry()))
    tally = Tally("call", "forged", "orders", Expected.REJECTED, Verdict.REJECTED)
    for second in range(3000):
        tallies.add(tally, 1_000_000 + second, 0.01)
    rows = tallies.rows()
    assert 300 <= len(rows) <= 600
    assert sum(row["count"] for row in rows) == 3000
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def start(target: Path, result: Path, port: int = 0, **order: Any) -> subprocess.Popen[str]:
    content = {"kind": "forged", "params": {"rate": 20}, "result": str(result), "port": port, **order}
    return subprocess.Popen(
        [sys.executable, "-m", "jwtdrill.probe.traffic", str(target), json.dumps(content)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 15
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_told_to_stop_it_leaves_its_counts_and_no_secret(misused: Misused, tmp_path: Path) -> None:
    result, port = tmp_path / "result.json", free_port()
    process = start(misused.target_file(tmp_path), result, port)
    wait_for(result)
    time.sleep(1)
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    rows = json.loads(result.read_text())["tallies"]
    assert 10 < seen(rows).total() <= 60
    assert {"time", "flow", "case", "resource", "expected", "verdict", "count"} == set(rows[0])
    assert 'jwtdrill_requests_total{case="' in text
    assert "eyJ" not in text + result.read_text()


def test_its_time_limit_is_hard(misused: Misused, tmp_path: Path) -> None:
    process = start(misused.target_file(tmp_path), tmp_path / "result.json", seconds=0.5)
    _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")
    assert seen(json.loads((tmp_path / "result.json").read_text())["tallies"]).total() <= 11


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"kind": "forgd"}, "unknown kind of traffic 'forgd': choose from forged, "),
        ({"params": {"rate": 0}}, "forged: parameter rate: "),
        ({"params": {"rat": 5}}, "forged has no parameter 'rat'"),
        ({"params": {"rate": 501}}, "limits.rate is 500, and 501 requests/s are more"),
        ({"seconds": 1e6}, "the order: "),
    ],
)
def test_what_cannot_be_sent_is_said_in_one_line(
    misused: Misused, tmp_path: Path, order: dict[str, Any], message: str
) -> None:
    process = start(misused.target_file(tmp_path), tmp_path / "result.json", **order)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "result.json").exists()


def test_an_issuer_that_is_not_there_is_said(misused: Misused, tmp_path: Path) -> None:
    target = misused.target_file(tmp_path, **{misused.url: "http://127.0.0.1:9"})
    process = start(target, tmp_path / "result.json")
    _, err = process.communicate(timeout=15)
    assert process.returncode == 2
    assert "the issuer gives no token" in err


def test_it_dies_with_whoever_started_it(misused: Misused, tmp_path: Path) -> None:
    target, result = misused.target_file(tmp_path), tmp_path / "result.json"
    code = (
        "import sys, time; from pathlib import Path; from jwtdrill.processes.supervisor import launch;"
        "argv = [sys.executable, '-m', 'jwtdrill.probe.traffic', *sys.argv[1:]];"
        "print(launch(argv, Path('/dev/null')).pid, flush=True); time.sleep(60)"
    )
    order = json.dumps({"kind": "forged", "result": str(result)})
    parent = subprocess.Popen([sys.executable, "-c", code, str(target), order], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    wait_for(result)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    psutil.wait_procs([child], timeout=3)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_production_gets_none(misused: Misused, tmp_path: Path) -> None:
    target = misused.target(tmp_path, **{'"test"': '"production"'})
    with pytest.raises(BadInputError, match="environment is production"):
        send(target, "forged")
