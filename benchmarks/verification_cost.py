"""Scenario S4: what verifying costs, side by side by algorithm, key size, token size, and with decisions remembered.

Each row is a lab of its own under the same load; the cost is what the verifier's process used of a core.
"""

from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import Table
from benchmarks.places import QuietLab, jwtdrill_locust
from jwtdrill.probe.genuine import genuine_token
from jwtdrill.target.load import load_target
from jwtdrill.tokens.keys import Algorithm

_RATE = 400
_VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("RS256, 2048 bits", {"alg": Algorithm.RS256}),
    ("RS256, 3072 bits", {"alg": Algorithm.RS256, "rsa_bits": 3072}),
    ("RS256, 4096 bits", {"alg": Algorithm.RS256, "rsa_bits": 4096}),
    ("PS256, 2048 bits", {"alg": Algorithm.PS256}),
    ("ES256", {"alg": Algorithm.ES256}),
    ("EdDSA", {"alg": Algorithm.EDDSA}),
    ("RS256, 2048 bits, token + 2 KiB", {"alg": Algorithm.RS256, "token_padding": 2048}),
    ("RS256, 2048 bits, token + 6 KiB", {"alg": Algorithm.RS256, "token_padding": 6144}),
    ("RS256, 2048 bits, decisions remembered", {"alg": Algorithm.RS256, "decisions": 10_000}),
    ("ES256, decisions remembered", {"alg": Algorithm.ES256, "decisions": 10_000}),
)
HEADER = (
    "| variant | token, bytes | CPU per request, µs | against RS256, 2048 bits | requests per second of a core "
    "| p50, ms | p99, ms |\n|---|---|---|---|---|---|---|"
)


def table(folder: Path, seconds: float) -> Table:
    """A row for each variant."""
    rows, base = [], 0.0
    for number, (name, options) in enumerate(_VARIANTS):
        with QuietLab(folder / f"cost-{number}", **options) as lab:
            target = load_target(str(lab.target))
            size = len(genuine_token(target))
            metrics = target.resource[0].metrics
            assert metrics is not None
            load = ("-u", "20", "-r", "100", "--rate", str(_RATE), "--target", lab.target)
            jwtdrill_locust("verification", *load, "-t", "3s")  # warm
            before = _cpu(metrics)
            content = jwtdrill_locust("verification", *load, "-t", f"{2 * seconds:.0f}s")
            used = _cpu(metrics) - before
        entry = next(e for e in content["latency"] if e["flow"] == "call")
        each = used / entry["count"] * 1e6
        base = base or each
        rows.append(
            f"| {name} | {size:,} | {each:,.0f} | {each / base:.2f} | {1e6 / each:,.0f} "
            f"| {entry['milliseconds']['p50']:.2f} | {entry['milliseconds']['p99']:.2f} |"
        )
    return Table("\n".join([HEADER, *rows]))


def _cpu(url: str) -> float:
    families = text_string_to_metric_families(httpx.get(url).text)
    return next(sample.value for f in families if f.name == "process_cpu_seconds" for sample in f.samples)
