"""Measures what the compiler reaches, row by row (P1 .. P13), and prints a table; `make bench`, `make bench ONLY=P1`.

Candidates run interleaved in this one process; one thread is timed by its CPU time. A cell shows the speed-up over the
static network, the practical limit, the efficiency (limit / realised), and how many FLOPs are saved, with 90 % intervals.
A figure that is missed is said to be; time fails nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cogseedc.bench import Cell, chart, document, table
from cogseedc.publish import canonical_json, write_file
from tests.bench.rows import adaptive, arms, choice, early_exit, experts, layer_skip, scale, spatial, temporal, tiny
from tests.bench.setting import Setting

MODULES = (early_exit, layer_skip, experts, arms, spatial, temporal, choice, adaptive, scale, tiny)
ALL = tuple(sorted((name for module in MODULES for name in module.NAMES), key=lambda name: int(name[1:])))


def main() -> None:
    """Measures the rows that are asked for; prints them, and writes bench.json and bench.svg."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"rows, apart by commas: {', '.join(ALL)}")
    parser.add_argument("--rounds", type=int, default=21, help="how often each candidate is measured")
    parser.add_argument("--quick", action="store_true", help="one cell of each row, one round: to see that it works")
    parser.add_argument("--output", default="build/bench", help="folder for bench.json and bench.svg")
    given = parser.parse_args()
    asked = frozenset(given.only.replace(",", " ").upper().split()) or frozenset(ALL)
    if unknown := asked - set(ALL):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; rows: {', '.join(ALL)}")
    cells: list[Cell] = []
    for module in MODULES:
        found = list(measured(module, Setting(given.rounds, given.quick), asked & set(module.NAMES)))
        for name in module.NAMES:
            if own := [cell for cell in found if cell.row == name]:
                print(f"\n{name}")
                print("\n".join(table(own)), flush=True)
                cells += own
    folder = Path(given.output)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "bench.json", canonical_json(document(cells, {"rounds": given.rounds}), indent=1))
    write_file(folder / "bench.svg", chart(cells, "Measured speed-up").encode())
    print(f"\n{folder}/bench.json, {folder}/bench.svg")


def measured(module: ModuleType, setting: Setting, asked: frozenset[str]) -> Iterator[Cell]:
    """The cells of a module, each said on stderr when it is there."""
    for cell in module.rows(setting, asked) if asked else ():
        print(f"{cell.row} {cell.cell}", file=sys.stderr, flush=True)
        yield cell


if __name__ == "__main__":
    main()
