"""The figures of a case, from the runs of its sides: medians, ratios, and why there are none."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import load_average
from benchmarks.processes import Run

Entry = dict[str, Any]


def compare(ours: Sequence[Run], theirs: Sequence[Run], *, rate: bool = False) -> Entry:
    """Both sides beside each other; ``ratio`` is how many times faster ours is.

    Where theirs did not finish, the ratio is a lower bound from the time it was given, or missing.
    """
    entry = {**side_figures("ours", ours, rate=rate), **side_figures("theirs", theirs, rate=rate)}
    figure = "samples_per_s" if rate else "seconds"
    if f"ours_{figure}" in entry and f"theirs_{figure}" in entry:
        pair = (entry[f"ours_{figure}"], entry[f"theirs_{figure}"])
        entry["ratio"] = round(pair[0] / pair[1] if rate else pair[1] / pair[0], 1)
        entry["cpu_ratio"] = None if rate else _cpu_ratio(ours, theirs)
        entry["memory_ratio"] = round(entry["theirs_peak_mb"] / entry["ours_peak_mb"], 1)
    elif f"ours_{figure}" in entry and not rate and theirs[-1].outcome == "timeout":
        bound = theirs[-1].process_seconds / entry["ours_seconds"]
        entry["ratio"], entry["ratio_is_lower_bound"] = round(bound, 1), True
    return {name: value for name, value in entry.items() if value is not None}


def _cpu_ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Ratio of the processor time of the work: what other load on the machine hardly moves."""
    mine, other = (
        statistics.median(run.report["work_cpu_seconds"] for run in finished(runs))
        for runs in (ours, theirs)
    )
    return round(other / mine, 1)


def side_figures(name: str, runs: Sequence[Run], *, rate: bool = False) -> Entry:
    """Medians of a side's finished runs, under names that begin with the side's."""
    done = finished(runs)
    if not done:
        last = runs[-1]
        return {
            f"{name}_outcome": last.outcome,
            f"{name}_peak_mb": round(last.peak_mb, 1),
            f"{name}_gave_up_after_s": round(last.process_seconds, 1),
            **({f"{name}_message": last.message} if last.outcome == "failed" else {}),
        }
    medians = {
        "seconds": None if rate else [run.report["work_seconds"] for run in done],
        "process_seconds": [run.process_seconds for run in done],
        "cpu_seconds": [run.cpu_seconds for run in done],
        "peak_mb": [run.peak_mb for run in done],
        "import_mb": [run.report["import_mb"] for run in done],
        "work_cpu_seconds": [run.report["work_cpu_seconds"] for run in done],
    }
    entry: Entry = {
        f"{name}_{figure}": round(statistics.median(values), 3)
        for figure, values in medians.items()
        if values
    }
    if rate:
        entry |= _training_figures(name, done)
    entry[f"{name}_all"] = [
        round(run.report["samples_per_s" if rate else "work_seconds"], 3) for run in done
    ]
    entry[f"{name}_outcome"] = "ok"
    if name == "ours":
        entry["load_average"] = load_average()
    return entry


def _training_figures(name: str, done: Sequence[Run]) -> Entry:
    figures = ("samples_per_s", "time_to_first_step_s", "matmul_share", "matmul_flops")
    medians = {figure: statistics.median(run.report[figure] for run in done) for figure in figures}
    entry: Entry = {
        f"{name}_samples_per_s": round(medians["samples_per_s"], 1),
        f"{name}_time_to_first_step_s": round(medians["time_to_first_step_s"], 2),
        f"{name}_matmul_gflops": round(medians["matmul_flops"] / 1e9, 1),
        f"{name}_mean_history": round(done[-1].report["mean_history"], 2),
    }
    share, precision = round(medians["matmul_share"], 4), done[-1].report["precision"]
    if name != "ours":
        return {**entry, f"{name}_matmul_share": share, f"{name}_precision": precision}
    return {
        **entry,
        "matmul_share": share,
        "precision": precision,
        "activation_unit": done[-1].report["activation_unit"],
    }


def finished(runs: Sequence[Run]) -> list[Run]:
    """The runs that came to their end."""
    return [run for run in runs if run.outcome == "ok"]


def median_stages(done: Sequence[Run]) -> dict[str, float]:
    """Median seconds of each stage that the runs report."""
    names = done[0].report["stages"]
    return {
        name: round(statistics.median(run.report["stages"][name] for run in done), 3)
        for name in names
    }
