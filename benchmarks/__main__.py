"""Command line of the benchmarks; ``python -m benchmarks --help`` and README.md say what it takes.

Keeps itself small: a child process counts its parent's memory at the moment of its start as its
own, so nothing heavy may be imported here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.busy_cases import BUSY
from benchmarks.cases import DEFAULT, EVERY, SCALE, STEPS, Settings, run_case
from benchmarks.engine_cases import ENGINES
from benchmarks.gpu_cases import GPU
from benchmarks.growth_cases import GROWTH
from benchmarks.page import render
from benchmarks.quality_cases import QUALITY
from benchmarks.report import PAGE, RESULTS, add_entries, read_results, write_page
from benchmarks.serving_cases import SERVING

_GROUPS = {
    "default": DEFAULT,
    "sequences": tuple(case for case in EVERY if case.startswith("sequences")),
    "training": tuple(case for case in EVERY if case.startswith("training")),
    "scale": SCALE,
    "steps": STEPS,
    "busy": BUSY,
    "serving": SERVING,
    "gpu": GPU,
    "engines": ENGINES,
    "all": tuple(case for case in EVERY if case not in (*GPU, *QUALITY, *GROWTH, *ENGINES)),
}


def main() -> int:
    """Run cases, write the figures, print the page."""
    wish = _parse()
    if wish.render:
        write_page(read_results())
        return 0
    settings = Settings(
        grocery=wish.grocery,
        repeats=wish.repeats,
        threads=wish.threads,
        timeout_seconds=wish.timeout_minutes * 60,
        memory_limit_mb=wish.memory_gb * 1024,
        quick=wish.quick,
    )
    entries = []
    for case in dict.fromkeys(case for name in wish.cases for case in _GROUPS.get(name, (name,))):
        print(case, flush=True)
        entries = run_case(case, settings, lambda sentence: print(sentence, flush=True))
        if wish.quick:
            print(render({"cases": entries}))
        else:
            results = add_entries(entries)
            write_page(results)
    if not wish.quick:
        print(f"\n{PAGE.read_text()}\nfigures: {RESULTS.relative_to(Path.cwd())}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--cases", nargs="+", default=["default"], choices=[*_GROUPS, *EVERY], metavar="CASE"
    )
    parser.add_argument("--grocery", type=Path, help="amazon_grocery.csv, else one of its shape")
    parser.add_argument("--repeats", type=int, help="runs of each side, else each case's own")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--timeout-minutes", type=float, default=20.0)
    parser.add_argument("--memory-gb", type=int, default=20, help="most resident memory of a side")
    parser.add_argument("--quick", action="store_true", help="tiny logs; nothing is written")
    parser.add_argument("--render", action="store_true", help="only write RESULTS.md anew")
    wish = parser.parse_args()
    if wish.grocery is not None:
        wish.grocery = wish.grocery.resolve()
        if not wish.grocery.is_file():
            parser.error(f"--grocery: there is no file {wish.grocery}")
    return wish


if __name__ == "__main__":
    sys.exit(main())
