"""The GPU cases: agreement with the CPU, an epoch there, and torch-rechub on the same card.

``gpu_agreement`` trains the same network on both, in float32, on the log of the grocery shape.
``gpu_tutorial`` and ``gpu_best`` train on the log of the Electronics shape in bfloat16.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished
from din_core.presets import BEST, TUTORIAL

if TYPE_CHECKING:
    from benchmarks.processes import Run

Side = tuple[str, dict[str, Any]]

GPU = ("gpu_agreement", "gpu_tutorial", "gpu_best")
_PRESETS = {"tutorial": TUTORIAL, "best": BEST}


def agreement_sides(database: str, *, quick: bool) -> dict[str, Side]:
    """Name the sides of ``gpu_agreement``."""
    return {
        preset: (
            "gpu_agreement",
            {
                "database": database,
                "model": asdict(chosen.model),
                "training": asdict(chosen.training) | ({"batch_size": 512} if quick else {}),
                "epochs": 1 if quick else 2,
            },
        )
        for preset, chosen in _PRESETS.items()
    }


def training_sides(
    case: str, database: str, arrays: str, vocabulary: Mapping[str, int], *, quick: bool
) -> dict[str, Side]:
    """Name the sides of ``gpu_tutorial`` or ``gpu_best``."""
    preset = _PRESETS[case.removeprefix("gpu_")]
    model = asdict(preset.model)
    training = asdict(preset.training) | {"precision": "bfloat16"}
    if quick:
        training |= {"batch_size": 512, "precision": "float32"}
    steps = 2 if quick else max(8, -(-65_536 // training["batch_size"]))
    return {
        "ours": (
            "gpu_training",
            {"database": database, "model": model, "training": training, "epochs": 3},
        ),
        "theirs": (
            "theirs_on_gpu",
            {
                "arrays": arrays,
                "vocabulary": vocabulary,
                "model": model,
                "training": training,
                "steps": steps,
            },
        ),
    }


def agreement_entries(runs: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Make an entry of each preset: figures of both devices, and how far they are apart."""
    entries: list[dict[str, Any]] = []
    for preset, of_side in runs.items():
        entry: dict[str, Any] = {"case": f"gpu_agreement_{preset}", "preset": preset}
        if done := finished(of_side):
            cpu, gpu = done[-1].report["cpu"], done[-1].report["gpu"]
            apart = {
                "loss_apart": _largest_gap(cpu["train_loss"], gpu["train_loss"]),
                "val_auc_apart": _largest_gap(cpu["val_auc"], gpu["val_auc"]),
                "test_auc_apart": _largest_gap([cpu["test_auc"]], [gpu["test_auc"]]),
            }
            entry |= {"outcome": "ok", "cpu": cpu, "gpu": gpu, **apart}
        else:
            entry |= {"outcome": of_side[-1].outcome, "message": of_side[-1].message}
        entries.append(entry)
    return entries


def training_entry(case: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Make the entry of a preset; ``ratio`` is how many times faster ours is."""
    entry: dict[str, Any] = {"case": case, "preset": case.removeprefix("gpu_")}
    for name, of_side in runs.items():
        done = finished(of_side)
        entry[f"{name}_outcome"] = of_side[-1].outcome
        if not done:
            entry[f"{name}_message"] = of_side[-1].message
            continue
        rates = [run.report["samples_per_s"] for run in done]
        entry[f"{name}_samples_per_s"] = round(statistics.median(rates), 1)
        entry[f"{name}_all"] = [round(rate, 1) for rate in rates]
        if name == "ours":
            left_out = ("samples_per_s", "import_mb", "work_cpu_seconds")
            report = done[-1].report
            entry |= {key: value for key, value in report.items() if key not in left_out}
    if "ours_samples_per_s" in entry and "theirs_samples_per_s" in entry:
        entry["ratio"] = round(entry["ours_samples_per_s"] / entry["theirs_samples_per_s"], 1)
    return entry


def agreement_rows(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table: preset, test AUC on either device, largest differences."""
    if entry["outcome"] != "ok":
        return (entry["preset"], entry["outcome"], *["-"] * 3)
    return (
        entry["preset"],
        f"{entry['cpu']['test_auc']:.4f}",
        f"{entry['gpu']['test_auc']:.4f}",
        f"{entry['loss_apart']:.1e}",
        f"{entry['val_auc_apart']:.1e}",
    )


def training_rows(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table: rates, ratio, an epoch, the GPU's share of it, waits, peak."""
    if entry["ours_outcome"] != "ok":
        return (entry["preset"], entry["ours_outcome"], *["-"] * 6)
    theirs = entry.get("theirs_samples_per_s")
    return (
        entry["preset"],
        f"{entry['ours_samples_per_s']:,.0f} / s",
        f"{theirs:,.0f} / s" if theirs else entry["theirs_outcome"],
        f"**{entry['ratio']:,.1f} x**" if "ratio" in entry else "-",
        f"{entry['epoch_seconds']:.2f} s",
        f"{entry['gpu_busy_share']:.0%}",
        f"{entry['waits']} in {entry['steps']:,} steps",
        f"{entry['gpu_peak_mb']:,.0f} MB",
    )


def _largest_gap(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
