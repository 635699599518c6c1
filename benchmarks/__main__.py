"""Benchmarks: how fast and how true, as ratios to references in the same run.

    python -m benchmarks [NAME …] [--seconds 5] [--pairs 5] [--write]

Each figure is the median over pairs of runs, one of what is measured and one of its reference. With --write the tables
in docs/benchmarks.md and docs/benchmarks.json are replaced. Without names all run: about an hour.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import crypto_speed, lab_speed, load_speed, truth, upkeep, verification_cost
from benchmarks.alerting import report
from benchmarks.figures import HEADER, Figure, Table
from jwtdrill.errors import JwtdrillError

DOCS = Path(__file__).parents[1] / "docs"
BENCHMARKS: dict[str, Callable[[Path, float, int], list[Figure]]] = {
    "minting": crypto_speed.minting,
    "verifying": crypto_speed.verifying,
    "lab-verifier": lab_speed.verifier,
    "lab-issuer": lab_speed.issuer,
    "verification": load_speed.verification,
    "issuance": load_speed.issuance,
    "handwritten": load_speed.handwritten,
    "latency": truth.latency,
    "clients": upkeep.clients,
    "workers": upkeep.workers,
    "ten-minutes": upkeep.ten_minutes,
    "scoreboard": upkeep.scoreboard,  # last: it imports locust, which patches this process
}
# Each with a table of its own in docs/benchmarks.md.
TABLES: dict[str, Callable[[Path, float], Table]] = {
    "verification-cost": verification_cost.table,
    "alerts": report.alerts,
}


def main() -> int:
    """Run, print the tables, and say by the exit code whether the goals are met."""
    known = [*TABLES, *BENCHMARKS]
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--seconds", type=float, default=5, help="of each run")
    parser.add_argument("--pairs", type=int, default=5, help="runs of measured and reference")
    parser.add_argument("--write", action="store_true", help="replace the tables under docs/")
    given = parser.parse_args()
    unknown = set(given.names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    figures: dict[str, list[Figure]] = {}
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(prefix="jwtdrill-bench-") as folder:
        for name, run in BENCHMARKS.items():
            if given.names and name not in given.names:
                continue
            begin = time.monotonic()
            figures[name] = run(Path(folder), given.seconds, given.pairs)
            for figure in figures[name]:
                print(figure.row, flush=True)
            print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
        for name, make in TABLES.items():
            if given.names and name not in given.names:
                continue
            begin = time.monotonic()
            table = make(Path(folder), given.seconds)
            figures[name] = table.figures
            print("\n".join(["", table.text, "", *(figure.row for figure in table.figures)]), flush=True)
            print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
            if given.write:
                _replace(DOCS / "benchmarks.md", name, table.text)
    if given.write:
        _write(figures)
    return 0 if all(figure.met is not False for group in figures.values() for figure in group) else 1


def _write(figures: dict[str, list[Figure]]) -> None:
    """Keep what other runs have found, and put these in its place."""
    file = DOCS / "benchmarks.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known |= {name: [figure.to_json() for figure in group] for name, group in figures.items() if group}
    known["python"] = platform.python_version()
    file.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    entries = [entry for name in (*BENCHMARKS, *TABLES) for entry in known.get(name, ())]
    rows = [Figure(**entry).row for entry in entries]
    _replace(DOCS / "benchmarks.md", "figures", "\n".join([HEADER, *rows]))


def _replace(page: Path, name: str, text: str) -> None:
    """Put the text between the page's marks of that name."""
    begin, end = f"<!-- {name}: made by python -m benchmarks --write -->", f"<!-- end of {name} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except JwtdrillError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
