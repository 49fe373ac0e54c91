"""The cases: which sides meet on what, in which order, and the entry that comes of it.

Sides run alternately, so that a slow minute of the machine hits both. An entry holds medians over
the repeats; seconds are those of the work (without interpreter and imports), ``*_process_seconds``
those of the whole process, ``*_cpu_seconds`` processor time over all threads and the whole process.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import busy_cases, gpu_cases
from benchmarks.busy_cases import BUSY
from benchmarks.entries import Entry, compare, finished, median_stages, side_figures
from benchmarks.gpu_cases import GPU
from benchmarks.machine import describe_machine
from benchmarks.processes import Run, run_side
from benchmarks.step_cases import PRESETS, STEPS, entries_of, sides_of

Tell = Callable[[str], None]

SEQUENCES = ("sequences_grocery", "sequences_electronics")
SCALE = ("scale_1m", "scale_10m", "scale_100m")
TRAINING = ("training_tutorial", "training_best")
EVERY = (*SEQUENCES, *SCALE, *TRAINING, *STEPS, *BUSY, *GPU)
DEFAULT = (*SEQUENCES, *TRAINING)

_SCALE_MEMORY_LIMIT = "6GB"
_PEAK_LIMIT_MB = 10 * 1024


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
_QUICK = Shape(users=300, items=200, cates=10, rows=3_000, least=5)


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


def run_case(case: str, settings: Settings, tell: Tell) -> list[Entry]:
    """Run one case.

    Args:
        case: One of :data:`EVERY`.
        settings: What was chosen.
        tell: Takes a sentence on what has just happened.

    Returns:
        Its entries: one, or for training one for each precision, for steps one for each preset.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = _Bench(Path(folder), settings, tell)
        if case in SEQUENCES:
            return [bench.sequences(case)]
        if case in SCALE:
            return [bench.scale(case)]
        if case in STEPS:
            return bench.steps(case)
        if case in BUSY:
            return [bench.busy(case)]
        if case in GPU:
            return bench.gpu(case)
        return bench.training(case)


class _Bench:
    """One case under way, in a folder of its own."""

    def __init__(self, folder: Path, settings: Settings, tell: Tell) -> None:
        self.folder = folder
        self.settings = settings
        self.tell = tell

    def sequences(self, case: str) -> Entry:
        """CSV to arrays, ours and theirs."""
        log, shape = self._log(case)
        ours, theirs = self._alternate(
            {
                "ours": ("ours_sequences", {"csv": str(log), "threads": self.settings.threads}),
                "theirs": ("theirs_sequences", {"csv": str(log)}),
            },
            default_repeats=5 if case == "sequences_grocery" else 2,
        ).values()
        entry = {"case": case, "log": shape, **compare(ours, theirs)}
        for name, runs in (("ours", ours), ("theirs", theirs)):
            if done := finished(runs):
                entry[f"{name}_samples"] = done[-1].report["samples"]
        if done := finished(ours):
            entry["rows"] = done[-1].report["rows"]
            entry["ours_stages"] = median_stages(done)
        return entry

    def scale(self, case: str) -> Entry:
        """CSV to arrays at a size where nobody else is asked."""
        log, shape = self._scale_log(int(case.removeprefix("scale_").removesuffix("m")))
        rows = shape["rows"]
        options = {
            "csv": str(log),
            "threads": self.settings.threads,
            "memory_limit": _SCALE_MEMORY_LIMIT,
        }
        runs = self._alternate({"ours": ("ours_sequences", options)}, default_repeats=1)["ours"]
        entry = {
            "case": case,
            "log": shape,
            "rows": rows,
            "csv_mb": round(log.stat().st_size / 2**20, 1),
            "memory_limit": _SCALE_MEMORY_LIMIT,
            **side_figures("ours", runs),
        }
        if done := finished(runs):
            entry["ours_microseconds_per_row"] = round(entry["ours_seconds"] / rows * 1e6, 3)
            cpu = entry["ours_work_cpu_seconds"]
            entry["ours_cpu_microseconds_per_row"] = round(cpu / rows * 1e6, 3)
            entry["ours_samples"] = done[-1].report["samples"]
            entry["ours_stages"] = median_stages(done)
            entry["disk_mb"] = round(max(run.report["disk_mb"] for run in done), 1)
            entry["within_10_gib"] = entry["ours_peak_mb"] <= _PEAK_LIMIT_MB
        return entry

    def steps(self, case: str) -> list[Entry]:
        """Training steps where the vocabulary, or the log, is large."""
        log = (
            self._scale_log(100)[0]
            if case == "steps_100m"
            else self._log("sequences_electronics")[0]
        )
        database = self.folder / "prepared"
        database.mkdir()
        limit = {"memory_limit": _SCALE_MEMORY_LIMIT} if case == "steps_100m" else {}
        self._prepare(
            "ours_sequences",
            {"csv": str(log), "folder": str(database), "threads": self.settings.threads, **limit},
        )
        log.unlink()
        path = str(database / "pipeline.duckdb")
        sides = sides_of(case, path, quick=self.settings.quick)
        return entries_of(case, self._alternate(sides, default_repeats=1 if limit else 3))

    def busy(self, case: str) -> Entry:
        """Training beside processes that keep the cores busy."""
        log, shape = self._log("sequences_grocery")
        database = self.folder / "prepared"
        database.mkdir()
        self._prepare(
            "ours_sequences",
            {"csv": str(log), "folder": str(database), "threads": self.settings.threads},
        )
        path = str(database / "pipeline.duckdb")
        sides = busy_cases.sides_of(case, path, quick=self.settings.quick)
        runs = self._alternate(sides, default_repeats=2)
        return {"log": shape, **busy_cases.entry_of(case, runs, self.settings.threads)}

    def gpu(self, case: str) -> list[Entry]:
        """Training on a GPU, beside the CPU or torch-rechub."""
        card = self._prepare("gpu_there", {}).report
        if not card["name"] and not self.settings.quick:
            raise RuntimeError(f"{case} needs a GPU that torch {card['torch']} sees; there is none")
        is_agreement = case == "gpu_agreement"
        log, shape = self._log("sequences_grocery" if is_agreement else "sequences_electronics")
        database, arrays = self.folder / "prepared", self.folder / "arrays.npz"
        database.mkdir()
        threads = self.settings.threads
        self._prepare(
            "ours_sequences", {"csv": str(log), "folder": str(database), "threads": threads}
        )
        path = str(database / "pipeline.duckdb")
        if is_agreement:
            sides = gpu_cases.agreement_sides(path, quick=self.settings.quick)
            entries = gpu_cases.agreement_entries(self._alternate(sides, default_repeats=1))
        else:
            # Of fewer users: theirs takes minutes to build arrays, and only some steps are run.
            few = self.folder / "few.csv"
            shape_of_few = asdict(_QUICK if self.settings.quick else FEW)
            self._prepare("write_log", {"path": str(few), "seed": 2022, **shape_of_few})
            theirs = self._prepare("theirs_sequences", {"csv": str(few), "save_to": str(arrays)})
            sides = gpu_cases.training_sides(
                case, path, str(arrays), theirs.report["vocabulary"], quick=self.settings.quick
            )
            runs = self._alternate(sides, default_repeats=1)
            entries = [gpu_cases.training_entry(case, runs)]
        return [{**entry, "log": shape, "card": card["name"]} for entry in entries]

    def training(self, case: str) -> list[Entry]:
        """Training steps, ours in both precisions where the processor has them, and theirs."""
        name = case.removeprefix("training_")
        options = asdict(PRESETS[name].model) | asdict(PRESETS[name].training)
        if self.settings.quick:
            options["batch_size"] = 512
        log, shape = self._log("sequences_grocery")
        database, arrays = self.folder / "prepared", self.folder / "arrays.npz"
        database.mkdir()
        self._prepare(
            "ours_sequences",
            {"csv": str(log), "folder": str(database), "threads": self.settings.threads},
        )
        theirs_log = self._prepare("theirs_sequences", {"csv": str(log), "save_to": str(arrays)})
        batch = options.get("batch_size", 4096)
        ours = {
            "database": str(database / "pipeline.duckdb"),
            "model": options,
            "epochs": 2 if self.settings.quick else 4,
        }
        sides = {
            precision: (
                "ours_training",
                {**ours, "training": {**options, "device": "cpu", "precision": precision}},
            )
            for precision in _precisions()
        }
        sides["theirs"] = (
            "theirs_training",
            {
                "arrays": str(arrays),
                "vocabulary": theirs_log.report["vocabulary"],
                "model": options,
                "training": options,
                "steps": 2 if self.settings.quick else max(4, -(-32_768 // batch)),
            },
        )
        runs = self._alternate(sides, default_repeats=2)
        theirs = runs.pop("theirs")
        return [
            {
                "case": f"{case}_{precision}",
                "log": shape,
                "preset": name,
                "options": _plain(options),
                **compare(these, theirs, rate=True),
            }
            for precision, these in runs.items()
        ]

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
            shape = _QUICK
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
                needed = {"folder": str(fresh)} if side == "ours_sequences" else {}
                run = self._run(side, {**options, **needed})
                shutil.rmtree(fresh)
                runs[name].append(run)
                self.tell(f"  {number + 1}/{repeats} {name}: {_in_words(run)}")
        return runs


def _precisions() -> tuple[str, ...]:
    native = {"avx512_bf16", "amx_bf16"} & set(describe_machine()["isa"])
    return ("float32", "bfloat16") if native else ("float32",)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in sorted(options)}


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
