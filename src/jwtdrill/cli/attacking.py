"""Commands under Load that ask whether a target answers rightly: the corpus, and the attack with it."""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jwtdrill.cli.app import LOAD, app, command
from jwtdrill.cli.output import as_json, live, say, table
from jwtdrill.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtdrill.faults.client import HeldFault
    from jwtdrill.probe.attack import Assault
    from jwtdrill.target.model import Target
    from jwtdrill.tokens.cases import Case

_FamilyOption = Annotated[
    list[str] | None, typer.Option("--family", help="Only cases of this family; may be repeated.")
]


@app.command(rich_help_panel=LOAD)
@command
def cases(
    family: _FamilyOption = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the corpus: each kind of token, what it attacks, what it needs, what it should meet with."""
    chosen = _chosen(None, family)
    if json:
        as_json(
            [
                {
                    "id": case.id,
                    "family": case.family,
                    "attacks": case.attacks,
                    "source": case.source,
                    "expected": case.expected,
                    "reason": case.reason,
                    "severity": case.severity if case.reason else None,
                    "fits": sorted(case.fits),
                    "needs": sorted(case.needs),
                    "room": case.room,
                }
                for case in chosen
            ]
        )
        return
    table(
        f"{len(chosen)} cases",
        ("case", "family", "what it is", "expected", "severity", "needs", "source"),
        [
            (
                case.id,
                case.family,
                case.attacks,
                "either" if case.room else (case.reason or case.expected),
                case.severity if case.reason else "",
                ", ".join(sorted(case.needs)) or "nothing",
                case.source,
            )
            for case in chosen
        ],
    )


@app.command(rich_help_panel=LOAD)
@command
def attack(
    target: Annotated[str, typer.Argument(help="Target file, or `lab` for the running lab.")],
    only: Annotated[list[str] | None, typer.Option("--case", help="Only this case; may be repeated.")] = None,
    family: _FamilyOption = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds that may be spent on waiting for a token to expire.")] = 0,
    remove_key: Annotated[
        bool, typer.Option(help="Take the issuer's key away for a while, by the fault agent, if [break] allows it.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the outcome there as JUnit XML.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Send every kind of bad token once, and every lawful kind of good one, to all that should tell them apart.

    Exit code 1 for a bad token that is accepted, a good one that is refused, or a place that cannot be told.
    """
    from jwtdrill.probe.assault import attack_target
    from jwtdrill.probe.findings import to_json, to_junit
    from jwtdrill.target.load import load_target

    loaded = load_target(target)
    loaded.refuse_production("an attack")
    chosen = _chosen(only, family)
    if junit is not None:
        junit.touch()  # better now than after the work
    with live() as tick:
        removing = _removing(loaded) if remove_key else None
        assault = asyncio.run(attack_target(loaded, chosen, tick, wait, removing))
    if junit is not None:
        junit.write_bytes(to_junit(assault, target))
    if json:
        as_json(to_json(assault, target))
    else:
        _show(assault, target)
    if not assault.ran:
        raise BadInputError(f"nothing of what was asked for was run: {assault.why_not}")
    return 0 if assault.held else 1


def _removing(target: "Target") -> "Callable[[], HeldFault]":
    """Takes the key that signs out of the set, under a lease. Raises BadInputError, MissingPartError."""
    from jwtdrill.faults.client import FaultClient

    fault = "keys.rotate_without_overlap"
    if not target.break_.allows(fault):
        raise BadInputError(f'{target.path}: --remove-key: add "{fault}" to faults under [break], if that is wanted')
    agent = FaultClient.of(target)
    agent.check(fault, {})
    return lambda: agent.begin(fault, {})


def _chosen(only: list[str] | None, families: list[str] | None) -> "list[Case]":
    from jwtdrill.tokens.cases import CASES, case

    known = {found.family for found in CASES.values()}
    for name in families or ():
        if name not in known:
            raise BadInputError(f"unknown family {name!r}: choose from {', '.join(sorted(known))}")
    chosen = [case(name) for name in only] if only else list(CASES.values())
    chosen = [found for found in chosen if not families or found.family in families]
    if not chosen:
        raise BadInputError("no case is of all that was asked for: leave out --case or --family")
    return chosen


def _show(assault: "Assault", target: str) -> None:
    from jwtdrill.probe.attack import Outcome
    from jwtdrill.probe.findings import in_order, not_run, odd_challenges, repeat

    bad = in_order(assault.bad)
    if bad:
        table(
            "Findings",
            ("severity", "where", "case", "what it is", "outcome", "status", "source"),
            [(a.case.severity, a.place, a.case.id, a.case.attacks, a.outcome, a.status, a.case.source) for a in bad],
        )
    remarks: dict[tuple[str, str, str], list[str]] = {}
    for attempt in in_order(assault.of(Outcome.REMARK)):
        remarks.setdefault((attempt.case.id, attempt.case.attacks, attempt.note), []).append(attempt.place)
    if remarks:
        rows = [(case, what, remark, "; ".join(places)) for (case, what, remark), places in remarks.items()]
        table("Remarks", ("case", "what it is", "remark", "where"), rows)
    odd = [(*key, count) for key, count in sorted(odd_challenges(assault).items())]
    if odd:
        table("Challenges with another error than RFC 6750 section 3.1 has", ("where", "says", "RFC", "times"), odd)
    skipped = [(place, count, why) for (place, why), count in sorted(not_run(assault).items())]
    if skipped:
        table("Not run", ("where", "cases", "why"), skipped)
    counts = Counter((attempt.place, attempt.outcome) for attempt in assault.attempts)
    sent = sum(attempt.verdict is not None for attempt in assault.attempts)
    table(
        f"Attack on {target}: {sent} cases in {assault.seconds:.1f} s",
        ("where", *(outcome.replace("_", " ") for outcome in Outcome)),
        [(place, *(counts[place, outcome] for outcome in Outcome)) for place in dict.fromkeys(p for p, _ in counts)],
    )
    for place, why in assault.untold.items():
        say(f"{place}: cannot tell: {why}")
    for attempt in bad[:1]:
        say(f"again: {repeat(attempt, target)}   ({attempt.request})")
    left = {attempt.case.id for attempt in assault.of(Outcome.NOT_RUN)} - {
        attempt.case.id for attempt in assault.attempts if attempt.verdict is not None
    }
    so_far = f", as far as it was run: {len(left)} kinds were run nowhere" if left else ""
    sys.stdout.write(f"HELD{so_far}\n" if assault.held else "DID NOT HOLD\n")
