"""The cases: which sides meet on what, in which order, and the entry that comes of it.

Sides run alternately, so that a slow minute of the machine hits both. An entry holds medians over
the repeats; seconds are those of the work (without interpreter and imports), ``*_process_seconds``
those of the whole process, ``*_cpu_seconds`` processor time over all threads and the whole process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import (
    busy_cases,
    embedding_cases,
    engine_cases,
    gpu_cases,
    growth_cases,
    language_cases,
    quality_cases,
    serving_cases,
)
from benchmarks.bench import FEW, GROCERY, QUICK, Bench, Settings, Tell
from benchmarks.busy_cases import BUSY
from benchmarks.embedding_cases import EMBEDDINGS
from benchmarks.engine_cases import ENGINES
from benchmarks.entries import Entry, compare, finished, median_stages, side_figures
from benchmarks.gpu_cases import GPU
from benchmarks.growth_cases import GROWTH
from benchmarks.language_cases import LANGUAGES
from benchmarks.machine import describe_machine
from benchmarks.quality_cases import QUALITY
from benchmarks.serving_cases import SERVING
from benchmarks.step_cases import PRESETS, STEPS, entries_of, sides_of

SEQUENCES = ("sequences_grocery", "sequences_electronics")
SCALE = ("scale_1m", "scale_10m", "scale_100m")
TRAINING = ("training_tutorial", "training_best")
EVERY = (
    *SEQUENCES,
    *SCALE,
    *TRAINING,
    *STEPS,
    *BUSY,
    *SERVING,
    *LANGUAGES,
    *GPU,
    *QUALITY,
    *GROWTH,
    *ENGINES,
    *EMBEDDINGS,
)
DEFAULT = (*SEQUENCES, *TRAINING, *SERVING)

_SCALE_MEMORY_LIMIT = "6GB"
_PEAK_LIMIT_MB = 10 * 1024


def run_case(case: str, settings: Settings, tell: Tell) -> list[Entry]:
    """Run one case.

    Args:
        case: One of :data:`EVERY`.
        settings: What was chosen.
        tell: Takes a sentence on what has just happened.

    Returns:
        Its entries: one, or for training one for each precision, for steps one for each preset, for
        quality one for each side.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = _Cases(Path(folder), settings, tell)
        if case in SEQUENCES:
            return [bench.sequences(case)]
        if case in SCALE:
            return [bench.scale(case)]
        if case in STEPS:
            return bench.steps(case)
        if case in BUSY:
            return [bench.busy(case)]
        if case in SERVING:
            return [bench.serving(case)]
        if case in LANGUAGES:
            return [bench.languages()]
        if case in GPU:
            return bench.gpu(case)
        if case in QUALITY:
            return bench.quality()
        if case in EMBEDDINGS:
            return [bench.embeddings()]
        if case in GROWTH:
            return [bench.growth()]
        if case in ENGINES:
            return [bench.engines(case)]
        return bench.training(case)


class _Cases(Bench):
    """Each case, in a folder of its own."""

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

    def embeddings(self) -> Entry:
        """Steps of two processes, each with all rows of a table or with its share of them."""
        sides = embedding_cases.sides_of(quick=self.settings.quick)
        return embedding_cases.entry_of(self._alternate(sides, default_repeats=1))

    def serving(self, case: str) -> Entry:
        """Rankings of many candidates, by three graphs in one process."""
        shape = QUICK if self.settings.quick else GROCERY
        quick = self.settings.quick
        sides = serving_cases.sides_of(case, shape.items, shape.cates, shape.users, quick=quick)
        return serving_cases.entry_of(case, self._alternate(sides, default_repeats=3))

    def languages(self) -> Entry:
        """Rankings by one graph, in Python and in Node."""
        shape = QUICK if self.settings.quick else GROCERY
        quick = self.settings.quick
        sides = language_cases.sides_of(shape.items, shape.cates, shape.users, quick=quick)
        return language_cases.entry_of(self._alternate(sides, default_repeats=1))

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
            shape_of_few = asdict(QUICK if self.settings.quick else FEW)
            self._prepare("write_log", {"path": str(few), "seed": 2022, **shape_of_few})
            theirs = self._prepare("theirs_sequences", {"csv": str(few), "save_to": str(arrays)})
            sides = gpu_cases.training_sides(
                case, path, str(arrays), theirs.report["vocabulary"], quick=self.settings.quick
            )
            runs = self._alternate(sides, default_repeats=1)
            entries = [gpu_cases.training_entry(case, runs)]
        return [{**entry, "log": shape, "card": card["name"]} for entry in entries]

    def quality(self) -> list[Entry]:
        """How well each side ranks the same test samples."""
        log, shape = self._log("sequences_grocery")
        seeds = self.settings.repeats or 3
        sides = quality_cases.sides_of(str(log), seeds=seeds, quick=self.settings.quick)
        # A run of each seed: what is repeated is the seed, not the run.
        one_run = {name: [self._once(name, *side)] for name, side in sides.items()}
        return quality_cases.entries_of(shape, one_run)

    def growth(self) -> Entry:
        """A model each day of a growing log, from random weights and from the one before."""
        log, shape = self._log("sequences_grocery")
        sides = growth_cases.sides_of(str(log), quick=self.settings.quick)
        return growth_cases.entry_of(shape, self._alternate(sides, default_repeats=1))

    def engines(self, case: str) -> Entry:
        """The tables by each engine, on one core and on all that there may be."""
        quick = self.settings.quick
        sides = engine_cases.sides_of(case, self.settings.threads, quick=quick)
        runs = self._alternate(sides, default_repeats=1)
        return engine_cases.entry_of(case, runs, quick=quick)

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
            precision + ("_spinning" if spinning else ""): (
                "ours_training",
                {
                    **ours,
                    "training": {**options, "device": "cpu", "precision": precision},
                    "spinning": spinning,
                },
            )
            for precision in _precisions()
            for spinning in (False, True)
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
                "case": f"{case}_{side}",
                "spinning": side.endswith("_spinning"),
                "log": shape,
                "preset": name,
                "options": _plain(options),
                **compare(these, theirs, rate=True),
            }
            for side, these in runs.items()
        ]


def _precisions() -> tuple[str, ...]:
    native = {"avx512_bf16", "amx_bf16"} & set(describe_machine()["isa"])
    return ("float32", "bfloat16") if native else ("float32",)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in sorted(options)}
