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
    tags=[metrics.GRAFANA_TAG],
    refresh="10s",
    time=core.Time("now-30m", "now"),
    graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    annotations=p.annotations(),
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
                "Misuse and introspection",
                [
                    p.timeseries(
                        "Replays",
                        "Tokens refused per second because they came before, by audience and key (M7, F4).",
                        [
                            p.query(
                                p.rate(metrics.VERIFICATION, "audience, kid", 'reason="replayed"'),
                                "{{audience}} {{kid}}",
                            )
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Excess scope and leak suspicions",
                        "Tokens with more scope than is allowed (F6), and from abnormally many addresses (M9, F7).",
                        [
                            p.query(p.rate(metrics.TOKEN_EXCESS_SCOPE, "issuer"), "excess scope {{issuer}}"),
                            p.query(p.rate(metrics.TOKEN_LEAK_SUSPICION, "issuer"), "leak {{issuer}}"),
                            p.query(p.rate(metrics.REVOKED_KEY_ACCEPTED, "issuer"), "revoked key {{issuer}}"),
                        ],
                        "reqps",
                        low=0,
                    ),
                    p.timeseries(
                        "Introspection latency",
                        "Median and 95th percentile (M10, F13).",
                        [
                            p.query(p.quantile(0.5, metrics.INTROSPECTION_DURATION), "p50"),
                            p.query(p.quantile(0.95, metrics.INTROSPECTION_DURATION), "p95"),
                        ],
                        "s",
                        low=0,
                        thresholds=p.steps(("green", None), ("red", 0.5)),
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
