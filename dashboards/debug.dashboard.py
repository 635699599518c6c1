"""Debug: which key, which algorithm, which grant, which lifetime? (requirement D3)"""

from grafanalib import core

from jwtdrill.catalog import metrics
from jwtdrill.observe import panels as p
from jwtdrill.observe.finish import Board
from jwtdrill.observe.indicators import FAILURE

LIFETIME = metrics.TOKEN_LIFETIME.name

dashboard = Board(
    title="JWT Bearer: debug",
    uid="jwtdrill-debug",
    description="What verifiers and issuer see of single keys, grants and lifetimes, and what the harness sent.",
    tags=["jwtdrill"],
    refresh="10s",
    time=core.Time("now-30m", "now"),
    graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    templating=p.variables(metrics.VERIFICATION.name),
    panels=p.layout(
        [
            p.Band(
                "Verification",
                [
                    p.timeseries(
                        "Verifications by key",
                        "Per second, by key and result; keys that are not published are `unknown`.",
                        [
                            p.query(
                                p.rate(metrics.VERIFICATION, "kid, alg, result"),
                                "{{kid}} {{alg}} {{result}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Refusals by verifier and reason",
                        "Per second.",
                        [
                            p.query(
                                f"{p.rate(metrics.VERIFICATION, 'job, reason', FAILURE)} > 0",
                                "{{job}} {{reason}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                ],
            ),
            p.Band(
                "Issuance",
                [
                    p.timeseries(
                        "Token requests",
                        "Per second, by grant and OAuth error; an empty error is a success.",
                        [
                            p.query(
                                p.rate(metrics.ISSUANCE, "grant_type, error"),
                                "{{grant_type}} {{error}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Token request latency",
                        "95th percentile by grant.",
                        [
                            p.query(
                                p.quantile(0.95, metrics.ISSUANCE_DURATION, "grant_type"),
                                "{{grant_type}}",
                            )
                        ],
                        "s",
                        low=0,
                    ),
                    p.heatmap(
                        "Token lifetimes",
                        "exp - iat of the tokens seen (M8).",
                        f"sum by (le) (increase({LIFETIME}_bucket{{{p.SELECTOR}}}[$__rate_interval]))",
                        "s",
                    ),
                ],
            ),
            p.Band(
                "Keys",
                [
                    p.table(
                        "Keys",
                        "Every key with its states: published, active or retired at the issuer, trusted at a verifier.",
                        [
                            p.query(
                                f"count by (issuer, kid, alg, state) ({metrics.SIGNING_KEY_INFO.name}{{{p.SELECTOR}}})"
                            )
                        ],
                        columns={"issuer": "Issuer", "kid": "Key", "alg": "Algorithm", "state": "State", "Value": "At"},
                        sort_by="Key",
                    ),
                    p.timeseries(
                        "Key set at the verifiers",
                        "Usable keys on hand.",
                        [p.query(f"min by (job) ({metrics.JWKS_KEYS.name}{{{p.SELECTOR}}})", "{{job}}")],
                        "short",
                        low=0,
                    ),
                    p.timeseries(
                        "Cache lifetime and stale limit",
                        "In force at each verifier.",
                        [
                            p.query(f"max by (job) ({metrics.JWKS_LIFETIME.name}{{{p.SELECTOR}}})", "{{job}} lifetime"),
                            p.query(f"max by (job) ({metrics.JWKS_STALE_LIMIT.name}{{{p.SELECTOR}}})", "{{job}} limit"),
                        ],
                        "s",
                        low=0,
                    ),
                ],
            ),
            p.Band(
                "Harness",
                [
                    p.timeseries(
                        "Requests by case and verdict",
                        "What the load sent, what it expected, what it got.",
                        [
                            p.query(
                                p.rate(metrics.REQUESTS, "flow, case, expected, verdict", scope=p.ENVIRONMENT),
                                "{{flow}} {{case}}: {{expected}}, {{verdict}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Canary latency",
                        "95th percentile by resource.",
                        [
                            p.query(
                                p.quantile(0.95, metrics.CANARY_DURATION, "resource"),
                                "{{resource}}",
                            )
                        ],
                        "s",
                        low=0,
                    ),
                    p.states(
                        "Faults in force",
                        "What a drill has broken.",
                        [p.query(f"max by (fault) ({metrics.FAULT_ACTIVE.name}{{{p.ENVIRONMENT}}})", "{{fault}}")],
                        p.value_map({0: ("off", "green"), 1: ("in force", "red")}),
                        thresholds=p.steps(("green", None), ("red", 1)),
                    ),
                ],
            ),
        ]
    ),
)
