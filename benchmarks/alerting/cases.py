"""Ways in which alerts on error budgets are known to go wrong: each in promtool, under our rules and the workbook's.

The letters are those of the requirements' list, of which j, silences, is not about rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.alerting import workbook
from benchmarks.alerting.promtool import Question, ask, made_of, without_texts
from benchmarks.alerting.traffic import (
    CANARY,
    FAILURE,
    HOUR,
    MINUTE,
    PROCESS,
    STEP,
    SUCCESS,
    VERIFICATION,
    Array,
    Series,
)
from jwtdrill.catalog.burn_alerts import burn_alert
from jwtdrill.catalog.objectives import Objective, Severity
from jwtdrill.catalog.promql import EVENTS_ALL, EVENTS_BAD
from jwtdrill.catalog.reasons import Reason
from jwtdrill.observe.rules import BUDGET_REMAINING, rule_file
from jwtdrill.observe.timing import TimeScale

HEADER = "| | case | right | ours | the workbook's plain form |\n|---|---|---|---|---|"
Span = tuple[float, float | None]  # steps, and events a second; None: no sample
_FEW = 1 / 270  # events a second: 13 an hour
_KEYS, _FORGED, _KID, _EXPIRED = (
    Reason.KEY_UNAVAILABLE,
    Reason.BAD_SIGNATURE,
    Reason.UNKNOWN_KID,
    Reason.EXPIRED,
)
_FAILED = f'{VERIFICATION}{{result="{FAILURE}"}}'


@dataclass(frozen=True)
class Asked:
    """A value that is asked for at the end, in PromQL, and how it reads."""

    ours: str
    plain: str
    reading: str


@dataclass(frozen=True)
class Case:
    """begin: the first step of what matters, from which the time to a page counts; or asked: a value instead.

    any_alert: whether all alerts of ours count, not that of the objective alone. nan: whether NaN matters.
    """

    letter: str
    title: str
    right: str
    series: Sequence[Series]
    begin: int = 0
    asked: Asked | None = None
    any_alert: bool = False
    nan: bool = False


_ERRORS = Asked(f"sum(sum_over_time({EVENTS_BAD}[2h]))", f"sum(increase({_FAILED}[2h]))", "counts {:.4g}")
_SHARE = Asked(
    f"100 * sum(sum_over_time({EVENTS_BAD}[2h])) / sum(sum_over_time({EVENTS_ALL}[2h]))",
    f"100 * sum(increase({_FAILED}[2h])) / sum(increase({VERIFICATION}[2h]))",
    "{:.3g} %",
)


def table(objective: Objective, folder: Path) -> str:
    """The rows as Markdown."""
    ours, plain = without_texts(rule_file([objective], TimeScale())), workbook.rules(objective)
    rows = [_row(case, objective, ours, plain, folder) for case in _early()]
    rows.append(_bad_night(objective, folder))
    rows += [_row(case, objective, ours, plain, folder) for case in _counted()]
    rows.append(_never(objective, folder))
    rows += [_row(case, objective, ours, plain, folder) for case in _floods()]
    return "\n".join([HEADER, *rows])


def _row(case: Case, objective: Objective, ours: dict[str, Any], plain: dict[str, Any], folder: Path) -> str:
    own = "" if case.any_alert else f', alertname="{burn_alert(objective).name}"'
    if case.asked is not None:
        cells = [
            _value(case, ours, case.asked.ours, case.asked.reading, folder),
            _value(case, plain, case.asked.plain, case.asked.reading, folder),
        ]
    else:
        cells = [_page(case, ours, own, "jwtdrill:.+", folder), _page(case, plain, "", "job:slo_.+", folder)]
    return f"| {case.letter} | {case.title} | {case.right} | {cells[0]} | {cells[1]} |"


def _value(case: Case, rules: dict[str, Any], expr: str, reading: str, folder: Path) -> str:
    (value,) = ask(rules, case.series, [Question(expr, _last(case))], folder)
    return "nothing" if value is None else reading.format(value)


def _page(case: Case, rules: dict[str, Any], own: str, recorded: str, folder: Path) -> str:
    """When the first page came and how long any fired."""
    last = _last(case)
    pages = f'ALERTS{{alertstate="firing", severity="{Severity.PAGE.value}"{own}}}'
    before = case.begin - 1
    over = f"[{(last - before) * STEP}s:{STEP}s]"
    every = f'{{__name__=~"{recorded}"}}'
    first, fires, nan = ask(
        rules,
        case.series,
        [
            Question(f"min(min_over_time(timestamp({pages}){over}))", last),
            Question(f"count_over_time(max({pages}){over})", last),
            # Which no NaN is.
            Question(f"(count({every}) or vector(0)) - (count({every} >= -Inf) or vector(0))", last),
        ],
        folder,
    )
    said = "no page"
    if first is not None:
        delay = first / STEP - before
        said = (
            f"page after {_minutes(delay)}, for {_minutes(fires or 0)}" if delay else "no new page: one fires already"
        )
    return f"{said}; {nan:g} values are NaN" if case.nan else said


def _last(case: Case) -> int:
    return case.series[0].values.size - 1


def _minutes(steps: float) -> str:
    return f"{steps / MINUTE:.3g} min"


def _early() -> list[Case]:
    """a to e."""
    return [
        Case(
            "a",
            "one failure among 13 requests an hour",
            "no page",
            [
                _verified((8 * HOUR, _FEW)),
                _verified((4 * HOUR, 0), (5 * MINUTE, 1 / 300), (4 * HOUR - 5 * MINUTE, 0), reason=_KEYS),
            ],
            4 * HOUR,
        ),
        Case(
            "a",
            "a total outage of 2 h at 13 requests an hour",
            "page, until it is over",
            [
                _verified((4 * HOUR, _FEW), (2 * HOUR, 0), (2 * HOUR, _FEW)),
                _verified((4 * HOUR, 0), (2 * HOUR, _FEW), (2 * HOUR, 0), reason=_KEYS),
            ],
            4 * HOUR,
        ),
        Case(
            "b",
            "a service 3 min old, of which 2 % fails",
            "no page",
            [
                _verified((HOUR, None), (3 * MINUTE, 98)),
                _verified((HOUR, None), (3 * MINUTE, 2), reason=_KEYS),
                _process(HOUR, 3 * MINUTE),
            ],
            HOUR,
        ),
        Case(
            "b",
            "every request fails from birth, for 10 min",
            "page",
            [_verified((HOUR, None), (10 * MINUTE, 10), reason=_KEYS), _process(HOUR, 10 * MINUTE)],
            HOUR,
        ),
        Case(
            "c",
            "30 min without a request",
            "no page, no NaN",
            [_verified((HOUR, 10), (HOUR / 2, 0)), _verified((HOUR, 0.001), (HOUR / 2, 0), reason=_KEYS)],
            HOUR,
            nan=True,
        ),
        Case(
            "d",
            "every series gone, for 1 h",
            "page",
            [_verified((HOUR, 10), (HOUR, None)), _verified((HOUR, 0.001), (HOUR, None), reason=_KEYS)],
            HOUR,
            any_alert=True,
        ),
        Case(
            "e",
            "an error series that appears with value 1",
            "counts 1",
            [_verified((2 * HOUR, 10)), _verified((HOUR, None), (HOUR, 0), reason=_KEYS, start=1)],
            asked=_ERRORS,
        ),
        Case(
            "e",
            "an old process's counter of 1,000,000, seen for the first time",
            "counts 0",
            [_verified((2 * HOUR, 10)), _verified((HOUR, None), (HOUR, 0), reason=_KEYS, start=1e6, instance="old")],
            asked=_ERRORS,
        ),
    ]


def _counted() -> list[Case]:
    """g."""
    restarted = _verified((1, 0), (HOUR - 1, 0.02), reason=_KEYS)
    half = HOUR // 2
    begun_anew = np.where(np.arange(HOUR) < half, restarted.values, restarted.values - restarted.values[half - 1])
    return [
        Case(
            "g",
            f"{restarted.values[-1]:g} errors, the counter is reset after {restarted.values[half - 1]:g}",
            f"counts {restarted.values[-1]:g}",
            [_verified((HOUR, 1)), replace(restarted, values=begun_anew)],
            asked=_ERRORS,
        ),
        Case(
            "g",
            "a new pod fails 10 requests a second for its first 5 min",
            "counts 3000",
            [
                _verified((2 * HOUR, 10)),
                _verified((HOUR, None), (5 * MINUTE, 10), (HOUR - 5 * MINUTE, 0), reason=_KEYS, instance="2"),
                _process(HOUR, HOUR, instance="2"),
            ],
            asked=_ERRORS,
        ),
        Case(
            "g",
            "5 errors, each the first of a new label value",
            "counts 5",
            [
                _verified((2 * HOUR, 1)),
                *(
                    _verified((HOUR + 10 * n, None), (HOUR - 10 * n, 0), reason=_KEYS, start=1, audience=str(n))
                    for n in range(5)
                ),
            ],
            asked=_ERRORS,
        ),
        Case(
            "g",
            "1 % fails at a target that is scraped twice",
            "1 %",
            [
                one
                for job in ("a", "b")
                for one in (_verified((2 * HOUR, 99), job=job), _verified((2 * HOUR, 1), reason=_KEYS, job=job))
            ],
            asked=_SHARE,
        ),
    ]


def _floods() -> list[Case]:
    """i. An outage under a flood begins while the flood goes on, and the canary feels it."""
    before, flood, outage = 2 * HOUR, HOUR, HOUR // 2
    steady = [
        _verified((before, 0), (flood + outage, 1000), reason=_FORGED),
        _verified((before, 0), (flood + outage, 300), reason=_EXPIRED),
    ]
    all_well = [
        _verified((before + flood + outage, 10)),
        _verified((before, 0), (flood + outage, 500), reason=_KID),
        _calls(SUCCESS, (before + flood + outage, 1)),
        _calls(FAILURE, (before + flood + outage, 0)),
    ]
    failing = [
        _verified((before + flood, 10), (outage, 0)),
        _verified((before, 0), (flood, 500), (outage, 510), reason=_KID),
        _calls(SUCCESS, (before + flood, 1), (outage, 0)),
        _calls(FAILURE, (before + flood, 0), (outage, 1)),
    ]
    return [
        Case("i", "a flood of forged, unknown and expired tokens", "no page", [*steady, *all_well], before),
        Case(
            "i",
            "a total outage after 1 h of the same flood",
            "page within minutes",
            [*steady, *failing],
            before + flood,
        ),
    ]


def _bad_night(objective: Objective, folder: Path) -> str:
    """f. What a month with a night of much failing at a tenth of the traffic comes to.

    At a sixtieth of its length, in which promtool is quick: an hour is a minute there, and a step one second.
    """
    scale = TimeScale(60)
    month, night = (round(scale.seconds(length) / scale.interval) for length in (objective.period, timedelta(hours=8)))
    usual = 10 * scale.factor * scale.interval / STEP  # events in 15 s of such a step are those in its real time
    rest = (month - night) / 2
    series = [
        _verified((rest, usual), (night, 0.0501 * usual), (rest, usual)),
        _verified((rest, 0), (night, 0.0499 * usual), (rest, 0), reason=_KEYS),
    ]
    failed, good = (float(one.values[-1]) for one in reversed(series))
    built = rule_file([objective], scale)
    left = next(
        rule["expr"] for group in built["groups"] for rule in group["rules"] if rule.get("record") == BUDGET_REMAINING
    )
    plain = workbook.rules(objective, [workbook.Tier("5m", 1, 300 / scale.factor, 300 / scale.factor, Severity.TICKET)])
    ratio = plain["groups"][0]["rules"][0]["record"]
    # By steps, for promtool takes no more than 10,000 samples in one query.
    over = f"[{scale.window(objective.period)}:15s]"
    last = month - 1
    (ours,) = ask(
        # The month's sum itself is asked for once: promtool evaluates every rule at every step.
        {"groups": [{"name": "ours", "rules": made_of(built, [left])}]},
        series,
        [Question(f"100 * (1 - ({left})) * {objective.budget:g}", last)],
        folder,
        scale.interval,
    )
    mean, rate = ask(
        plain,
        series,
        [
            Question(f"100 * sum(avg_over_time({ratio}{over}))", last),
            Question(f"100 * sum(rate({_FAILED}{over})) / sum(rate({VERIFICATION}{over}))", last),
        ],
        folder,
        scale.interval,
    )
    right = f"{100 * failed / (failed + good):.3f} %"
    told = f"{mean or 0:.3f} % as the mean of recorded ratios, {rate or 0:.3f} % as a rate over 30 d"
    title = "a month at 10 requests/s with a night of 49.9 % errors at 1 request/s"
    return f"| f | {title} | {right} | {ours or 0:.3f} % | {told} |"


def _never(objective: Objective, folder: Path) -> str:
    """h. The tier that an objective of 90 % can never reach."""
    tier = workbook.TIERS[0]
    try:
        wanted = replace(objective, objective=0.9, tiers=(tier.name,))
        ours = f"accepted, with {len(wanted.burn_tiers)} tier"
    except ValueError as error:
        ours = f"refused: “{error}”"
    outage = Case(
        "h",
        "",
        "",
        [_verified((HOUR, 10), (6 * HOUR, 0)), _verified((HOUR, 0), (6 * HOUR, 10), reason=_KEYS)],
        HOUR,
    )
    rules = workbook.rules(replace(objective, objective=0.9, tiers=()), [tier])
    plain = _page(outage, rules, "", "job:slo_.+", folder)
    return f"| h | {tier.name} for an objective of 90 %; a total outage of 6 h | refused | {ours} | accepted; {plain} |"


def _verified(*spans: Span, reason: str = "", start: float = 0, **labels: str) -> Series:
    """A counter of a verifier's that goes on through these spans from `start`."""
    own = {"environment": "staging", "issuer": "https://i", "job": "a", "instance": "1", **labels}
    return Series(
        VERIFICATION, {**own, "result": FAILURE if reason else SUCCESS, "reason": reason}, _values(spans, start)
    )


def _calls(result: str, *spans: Span) -> Series:
    """The canary's."""
    labels = {"environment": "staging", "issuer": "https://i", "job": "canary", "instance": "c", "resource": "orders"}
    return Series(CANARY, {**labels, "result": result}, _values(spans, 0))


def _process(begin: int, lasts: int, instance: str = "1") -> Series:
    """When that process began: a moment before its first scrape."""
    values = np.concatenate([np.full(begin, np.nan), np.full(lasts, begin * STEP - 5.0)])
    return Series(PROCESS, {"job": "a", "instance": instance}, values)


def _values(spans: Sequence[Span], start: float) -> Array:
    events = np.concatenate([np.full(round(steps), np.nan if each is None else each * STEP) for steps, each in spans])
    return np.where(np.isnan(events), np.nan, start + np.floor(np.cumsum(np.nan_to_num(events)) + 1e-6))
