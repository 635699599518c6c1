"""Executive: do tokens flow, are good ones accepted, is a rotation under way, do failures spike? (requirement D1)"""

from grafanalib import core

from jwtdrill.catalog import metrics
from jwtdrill.observe import panels as p
from jwtdrill.observe.finish import Board
from jwtdrill.observe.indicators import EVENTS_ALL, EVENTS_BAD, SUCCESS
from jwtdrill.observe.rules import BUDGET_REMAINING

VERIFICATION = f'{{objective="verification", {p.SELECTOR}}}'
KEYS = metrics.SIGNING_KEY_INFO.name
ACTIVATED = f"{metrics.SIGNING_KEY_ACTIVATED.name}{{{p.SELECTOR}}}"

dashboard = Board(
    title="JWT Bearer: executive",
    uid="jwtdrill-executive",
    description="Whether tokens are issued and good ones accepted, at a glance.",
    tags=[metrics.GRAFANA_TAG],
    refresh="1m",
    time=core.Time("now-24h", "now"),
    graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    annotations=p.annotations(),
    templating=p.variables(metrics.VERIFICATION.name),
    panels=p.layout(
        [
            p.Band(
                "Objectives",
                [
                    p.stat(
                        "Verification success",
                        "Share of the tokens that should have been verified and were, over the time shown. Legitimate "
                        "refusals do not count (M3).",
                        f"1 - sum(sum_over_time({EVENTS_BAD}{VERIFICATION}[$__range]))\n"
                        f"/ (sum(sum_over_time({EVENTS_ALL}{VERIFICATION}[$__range])) > 0)",
                        "percentunit",
                        thresholds=p.steps(("red", None), ("green", 0.999)),
                        decimals=3,
                    ),
                    p.stat(
                        "Tokens issued per minute",
                        "Successes at the token endpoint (M1).",
                        f"60 * sum({p.rate(metrics.ISSUANCE, 'issuer', SUCCESS)})",
                        "short",
                        thresholds=p.steps(("blue", None)),
                        sparkline=True,
                    ),
                    p.stat(
                        "Since the last key rotation",
                        "Time since the active signing key began to sign (M6).",
                        f"time() - max({ACTIVATED})",
                        "s",
                        thresholds=p.steps(("green", None)),
                    ),
                    p.stat(
                        "Signing keys published",
                        "Keys in the issuer's set: more than one while a rotation is under way.",
                        f'count(count by (issuer, kid) ({KEYS}{{state!="trusted", {p.SELECTOR}}}))',
                        "short",
                        thresholds=p.steps(("green", None), ("yellow", 2)),
                    ),
                ],
                height=5,
            ),
            p.Band(
                "Budgets and holes",
                [
                    p.timeseries(
                        "Error budget left",
                        "What is left of each objective's budget over its period; below zero it is overspent.",
                        [p.query(f"min by (objective) ({BUDGET_REMAINING}{{{p.SELECTOR}}})", "{{objective}}")],
                        "percentunit",
                        thresholds=p.steps(("red", None), ("green", 0)),
                    ),
                    p.stat(
                        "Bad tokens let in",
                        "By what the harness sent, and by a key that was revoked, over the time shown (F11).",
                        f"sum(increase({metrics.REQUESTS.name}"
                        f'{{expected="rejected", verdict="accepted", {p.ENVIRONMENT}}}[$__range]) or vector(0))\n'
                        f"+ sum(increase({metrics.REVOKED_KEY_ACCEPTED.name}{{{p.SELECTOR}}}[$__range]) or vector(0))",
                        "short",
                        thresholds=p.steps(("green", None), ("red", 1)),
                        decimals=0,
                    ),
                ],
                widths=(18, 6),
            ),
            p.Band(
                "Trends",
                [
                    p.timeseries(
                        "Issuance rate",
                        "Tokens issued per minute, by issuer (M1).",
                        [
                            p.query(
                                f"60 * {p.rate(metrics.ISSUANCE, 'issuer', SUCCESS)}",
                                "{{issuer}}",
                            )
                        ],
                        "short",
                        low=0,
                    ),
                    p.timeseries(
                        "Auth failures",
                        "401 and 403 answers per second at protected resources (M5).",
                        [
                            p.query(
                                p.rate(metrics.PROTECTED_REQUESTS, "code", 'code=~"401|403"', p.ENVIRONMENT),
                                "{{code}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                ],
            ),
        ]
    ),
)
