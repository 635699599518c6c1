"""On-call: what fails, for whom, since when, and is it keys, clocks or clients? (requirement D2)"""

from datetime import timedelta

from grafanalib import core

from jwtdrill.catalog import metrics
from jwtdrill.observe import panels as p
from jwtdrill.observe.finish import Board
from jwtdrill.observe.indicators import FAILURE, SUCCESS
from jwtdrill.observe.rules import burn_rate

REQUESTS = metrics.PROTECTED_REQUESTS.name
FAST, SLOW = burn_rate(timedelta(minutes=5)), burn_rate(timedelta(hours=1))


def answers(code: str, title: str) -> core.Stat:
    """How many answers of that status the last five minutes saw."""
    return p.stat(
        title,
        f"Answers with status {code} in the last five minutes (M5).",
        f'sum(increase({REQUESTS}{{code=~"{code}", {p.ENVIRONMENT}}}[5m])) or vector(0)',
        "short",
        thresholds=p.steps(("green", None), ("yellow", 1)),
        decimals=0,
    )


dashboard = Board(
    title="JWT Bearer: on-call",
    uid="jwtdrill-oncall",
    description="What fails, for whom, and whether keys, clocks or clients are to blame.",
    tags=[metrics.GRAFANA_TAG],
    refresh="10s",
    time=core.Time("now-1h", "now"),
    graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    annotations=p.annotations(),
    templating=p.variables(metrics.VERIFICATION.name),
    panels=p.layout(
        [
            p.Band(
                "Last five minutes",
                [answers("401", "401"), answers("403", "403"), answers("5..", "5xx")],
                height=4,
            ),
            p.Band(
                "Who is hurt",
                [
                    p.timeseries(
                        "Burn rate of the verification budget",
                        "1 spends the budget exactly in its period; pages come at 14.4 and 6 (M3).",
                        [
                            p.query(f'{FAST}{{objective="verification", {p.SELECTOR}}}', "5m {{issuer}}"),
                            p.query(f'{SLOW}{{objective="verification", {p.SELECTOR}}}', "1h {{issuer}}"),
                        ],
                        "short",
                        low=0,
                        thresholds=p.steps(("green", None), ("red", 14.4)),
                    ),
                    p.timeseries(
                        "Canary",
                        "Share of known-good tokens accepted, by resource: below 1 it is an outage, not an attack.",
                        [
                            p.query(
                                f"{p.rate(metrics.CANARY, 'resource', SUCCESS)}\n"
                                f"/ ({p.rate(metrics.CANARY, 'resource')} > 0)",
                                "{{resource}}",
                            )
                        ],
                        "percentunit",
                        low=0,
                    ),
                    p.table(
                        "Failing routes",
                        "Routes with most 401, 403 and 5xx answers in the last five minutes.",
                        [
                            p.query(
                                f"topk(10, sum by (route, code, client) (increase({REQUESTS}"
                                f'{{code=~"401|403|5..", {p.ENVIRONMENT}}}[5m])))'
                            )
                        ],
                        columns={"route": "Route", "code": "Status", "client": "Client", "Value": "Answers"},
                        sort_by="Answers",
                    ),
                ],
            ),
            p.Band(
                "Why",
                [
                    p.timeseries(
                        "Refusals by reason",
                        "Tokens refused per second (F1, F2, F3, F8). Unknown kid or bad signature at every issuer's "
                        "verifiers at once is a rotation gone wrong.",
                        [
                            p.query(
                                p.rate(metrics.VERIFICATION, "reason", FAILURE),
                                "{{reason}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Refusals by issuer and audience",
                        "Where the refusals happen.",
                        [
                            p.query(
                                p.rate(metrics.VERIFICATION, "issuer, audience", FAILURE),
                                "{{issuer}} for {{audience}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Verification latency",
                        "Median and 95th percentile (M4).",
                        [
                            p.query(p.quantile(0.5, metrics.VERIFICATION_DURATION), "p50"),
                            p.query(p.quantile(0.95, metrics.VERIFICATION_DURATION), "p95"),
                        ],
                        "s",
                        low=0,
                        thresholds=p.steps(("green", None), ("red", 0.2)),
                    ),
                ],
            ),
            p.Band(
                "Keys and clocks",
                [
                    p.timeseries(
                        "JWKS fetches",
                        "Attempts per second by verifier and result (F10).",
                        [
                            p.query(
                                p.rate(metrics.JWKS_FETCH, "job, result"),
                                "{{job}} {{result}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Age of the keys on hand",
                        "Time since each verifier last fetched a good key set (F5, F10).",
                        [
                            p.query(
                                f"time() - max by (job) ({metrics.JWKS_LAST_SUCCESS.name}{{{p.SELECTOR}}})", "{{job}}"
                            )
                        ],
                        "s",
                        low=0,
                    ),
                    p.timeseries(
                        "Key rotations",
                        "Changes of the active signing key within the last hour (M6, F8).",
                        [
                            p.query(
                                f"sum by (issuer, result) (increase({metrics.KEY_ROTATION.name}{{{p.SELECTOR}}}[1h]))",
                                "{{issuer}} {{result}}",
                            )
                        ],
                        "short",
                        low=0,
                    ),
                    p.timeseries(
                        "Clock offset",
                        "Least age of well-signed tokens: below zero, somebody's clock is wrong (F9).",
                        [p.query(f"min by (job) ({metrics.TOKEN_CLOCK_OFFSET.name}{{{p.SELECTOR}}})", "{{job}}")],
                        "s",
                    ),
                ],
            ),
        ]
    ),
)
