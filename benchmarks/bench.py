"""What every case of the benchmarks takes: its logs, and its sides run in turn."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Run, run_side

Tell = Callable[[str], None]
# Sides that write where they are told.
_WITH_A_FOLDER = ("ours_sequences", "engine_tables")


@dataclass(frozen=True)
class Shape:
    """Counts of a log.

    Attributes:
        users: Users.
        items: Items.
        cates: Categories.
        rows: Events.
        least: Fewest events of a user.
    """

    users: int
    items: int
    cates: int
    rows: int
    least: int


GROCERY = Shape(users=14_681, items=8_687, cates=56, rows=121_892, least=3)
ELECTRONICS = Shape(users=192_403, items=63_001, cates=801, rows=1_690_000, least=5)
FEW = Shape(users=6_000, items=5_000, cates=56, rows=50_000, least=3)
QUICK = Shape(users=300, items=200, cates=10, rows=3_000, least=5)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be chosen for a run.

    Attributes:
        grocery: The real log; None generates one of its shape.
        repeats: Runs of each side; None takes each case's own.
        threads: Threads of each side.
        timeout_seconds: When a side is stopped.
        memory_limit_mb: Most resident memory of a side.
        quick: Tiny logs and few steps, to see that all works: the figures say nothing.
    """

    grocery: Path | None = None
    repeats: int | None = None
    threads: int = 2
    timeout_seconds: float = 20 * 60
    memory_limit_mb: int = 20 * 1024
    quick: bool = False


class Bench:
    """One case under way, in a folder of its own."""

    def __init__(self, folder: Path, settings: Settings, tell: Tell) -> None:
        self.folder = folder
        self.settings = settings
        self.tell = tell

    def _scale_log(self, millions: int) -> tuple[Path, dict[str, int]]:
        """Write a log of the scale cases; return it with its counts."""
        rows = millions * (10_000 if self.settings.quick else 1_000_000)
        share = rows / 100_000_000
        shape = {
            "users": max(10, round(1_000_000 * share)),
            "items": max(50, round(4_000_000 * share)),
            "cates": max(5, round(9_439 * share)),
            "rows": rows,
        }
        log = self.folder / "log.csv"
        self._prepare("write_scale_log", {"path": str(log), "seed": 2022, **shape})
        return log, shape

    def _log(self, case: str) -> tuple[Path, Mapping[str, Any]]:
        """Find or write the log of a case; return it with what it is."""
        real = case == "sequences_grocery" and self.settings.grocery
        if real and not self.settings.quick:
            return real, {"source": "amazon_grocery.csv"}
        shape = GROCERY if case == "sequences_grocery" else ELECTRONICS
        if self.settings.quick:
            shape = QUICK
        log = self.folder / "log.csv"
        self._prepare("write_log", {"path": str(log), "seed": 2022, **asdict(shape)})
        return log, {"source": "generated", **asdict(shape)}

    def _prepare(self, side: str, options: Mapping[str, Any]) -> Run:
        """Run something that is not measured."""
        run = self._run(side, options)
        if run.outcome != "ok":
            raise RuntimeError(f"{side} did not work ({run.outcome}):\n{run.message}")
        return run

    def _run(self, side: str, options: Mapping[str, Any]) -> Run:
        chosen = self.settings
        return run_side(
            side,
            options,
            threads=chosen.threads,
            timeout_seconds=chosen.timeout_seconds,
            memory_limit_mb=chosen.memory_limit_mb,
        )

    def _once(self, name: str, side: str, options: Mapping[str, Any]) -> Run:
        """Run a side and tell of it."""
        run = self._run(side, options)
        self.tell(f"  {name}: {_in_words(run)}")
        return run

    def _alternate(
        self, sides: Mapping[str, tuple[str, Mapping[str, Any]]], default_repeats: int
    ) -> dict[str, list[Run]]:
        """Run the sides in turn, some times; one that once did not finish is not asked again."""
        repeats = 1 if self.settings.quick else (self.settings.repeats or default_repeats)
        runs: dict[str, list[Run]] = {name: [] for name in sides}
        for number in range(repeats):
            for name, (side, options) in sides.items():
                if runs[name] and runs[name][-1].outcome != "ok":
                    continue
                fresh = Path(tempfile.mkdtemp(dir=self.folder))
                needed = {"folder": str(fresh)} if side in _WITH_A_FOLDER else {}
                run = self._run(side, {**options, **needed})
                shutil.rmtree(fresh)
                runs[name].append(run)
                self.tell(f"  {number + 1}/{repeats} {name}: {_in_words(run)}")
        return runs


def _in_words(run: Run) -> str:
    if run.outcome != "ok":
        last = f" ({run.message.splitlines()[-1]})" if run.message else ""
        return f"{run.outcome} after {run.process_seconds:.1f} s at {run.peak_mb:,.0f} MB{last}"
    rate = run.report.get("samples_per_s")
    figure = f"{rate:,.0f} samples/s, " if rate else ""
    return (
        f"{figure}{run.report['work_seconds']:.2f} s of work "
        f"({run.report['work_cpu_seconds']:.2f} s CPU), {run.peak_mb:,.0f} MB"
    )
