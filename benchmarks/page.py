"""``RESULTS.md``: the page for people, in Markdown, from the figures of ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import (
    busy_cases,
    gpu_cases,
    growth_cases,
    language_cases,
    quality_cases,
    serving_cases,
    step_cases,
)

_UNFINISHED = {
    "timeout": "stopped after {seconds:,.0f} s",
    "out_of_memory": "out of memory after {seconds:,.0f} s",
    "failed": "failed",
}
_INTRODUCTION = (
    "Written by `python -m benchmarks --render` from `results.json`; how to run it and what each "
    "figure means is in [README.md](README.md)."
)
_ABOUT_SEQUENCES = (
    "Time is that of the work (interpreter and imports not counted), the median of alternating "
    "runs; peak is that of the whole process."
)
_ABOUT_SCALE = (
    "The peak is that of the whole process, the loaded arrays included. Users, items and "
    "categories grow with the rows, up to 1 M users, 4 M items and 9,439 categories."
)
_STEADY = (
    "Samples per second in steady state: the first epoch (ours) or the first step (torch-rechub, "
    "of which only some steps are run) is left out; the time to the end of the first step is in "
    "the column of its name, ours / theirs, model building included. Our kernels had been compiled "
    "before: the first training of an installation takes some ten seconds longer."
)
_MATMUL_SHARE = (
    "Matmul share: FLOPs of the matrix products that the network needs for a sample, forward and "
    "backward, without padding, times samples per second, over the best rate that `torch.matmul` "
    "reached in the same process and precision."
)
_NEAREST = (
    "torch-rechub computes in float32 on padded histories. Of `best` it can express widths, "
    "dropout, batch size and learning rate; not product inputs, redrawn negatives, joint "
    "attention, averaged weights or another activation than Dice in the last MLP: its figure "
    "there is for the nearest network it has."
)


_ABOUT_STEPS = (
    "The median of some steps of the first epoch. Two lines of a preset are the same log, the "
    "second with its items spread over a hundred times as many indices; the ratio is that of the "
    "steps. Waiting for data is the share of the time between the end of one step and the "
    "beginning of the next. The peak is that of the whole process."
)


_ABOUT_BUSY = (
    "Samples per second of the second epoch on the log of `training_best`, float32, two threads. "
    "As it was: torch's threads met after every operation and spun as long as libgomp pleases. A "
    "fair share is the quiet rate times the cores over all threads that want one."
)


_ABOUT_SERVING = (
    "One thread of onnxruntime, float32, random weights; a history of 50 events unless said "
    "otherwise. The least time of all requests, and the median and 99th percentile of one run. "
    "Repeated rows are `din.onnx` with the history once for each candidate, and so is what "
    "torch-rechub exports of its DIN. Of `best` it has neither joint attention nor product inputs."
)


_ABOUT_GPU = (
    "An epoch is that of the Electronics shape in bfloat16, validation not counted. The GPU's "
    "share is the time of its kernels over that of the epoch. Waits are how often the host waited "
    "for the GPU, from the first step to the last. torch-rechub ran some steps, in float32, on "
    "arrays of fewer users; its rate does not depend on their number. Dropout draws other random "
    "numbers on either device, so `best` cannot agree more closely."
)


_ABOUT_LANGUAGES = (
    "One ranking by `rank.onnx` of the preset `best`, the file opened for it as in the example of "
    "`docs/serving.md`, whose JavaScript runs as it stands; the least of the repeats."
)
_ABOUT_QUALITY = (
    "Every side is fitted on the same training events of the same log and ranks the same test "
    "samples; what it chooses, it chooses on validation: the weight of popularity beside its own "
    "score, a strength, a number of rounds or epochs. Means over the seeds. The logarithm of the "
    "popularity is added where the table says so."
)


_ABOUT_GROWTH = (
    "The log begins with 70% of its rows, by time, and grows in ten days of 3% each; a row of the "
    "table is one. Test rows are those of that day's log, split by leave-one-out; the day's "
    "are those whose event came on that day. CPU is processor time of the training alone, over all "
    "threads. The warm chain began with the cold model of the day before the first."
)


def render(results: Mapping[str, Any]) -> str:
    """Return the page for people, in Markdown."""
    cases = results["cases"]
    parts = [
        "# Benchmark results",
        _INTRODUCTION,
        _versions(results),
    ]
    for prefix, title, write in SECTIONS:
        if chosen := [entry for entry in cases if entry["case"].startswith(prefix)]:
            parts += [f"## {title}", _machines(chosen), write(chosen)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _versions(results: Mapping[str, Any]) -> str:
    if not results.get("versions"):
        return "Nothing was measured yet."
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return f"{versions}; last measured {results['date']}."


def _machines(entries: Sequence[Mapping[str, Any]]) -> str:
    """Where a section's cases were measured: those of two machines are not to be compared."""
    cases: dict[str, list[str]] = {}
    for entry in entries:
        if machine := entry.get("machine"):
            words = (
                f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GiB, "
                f"{' '.join(machine['isa']) or 'no vector extensions'}, {entry['date']}"
            )
            cases.setdefault(words, []).append(f"`{entry['case']}`")
    if not cases:
        return ""
    if len(cases) == 1:
        return f"Measured on {next(iter(cases))}."
    return _bullets([f"{', '.join(names)}: measured on {words}." for words, names in cases.items()])


def _sequences(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("log", "rows", "ours", "torch-rechub", "ratio", "ratio of CPU time", "our peak")
    rows = [
        (
            _log_in_words(entry),
            f"{entry.get('rows', 0):,}",
            _seconds(entry, "ours"),
            _seconds(entry, "theirs"),
            _ratio(entry),
            _times(entry.get("cpu_ratio")),
            f"{entry['ours_peak_mb']:,.0f} MB",
            f"{entry['theirs_peak_mb']:,.0f} MB",
            _times(entry.get("memory_ratio")),
        )
        for entry in entries
    ]
    notes = [
        _ABOUT_SEQUENCES,
        *(_sequence_note(entry) for entry in entries),
    ]
    return _table((*head, "their peak", "ratio"), rows) + "\n\n" + _bullets(notes)


def _sequence_note(entry: Mapping[str, Any]) -> str:
    parts = [f"`{entry['case']}`:"]
    if entry["ours_outcome"] == "ok" and entry["theirs_outcome"] == "ok":
        parts.append(
            f"whole processes took {entry['ours_process_seconds']:.2f} s and "
            f"{entry['theirs_process_seconds']:.2f} s; imports alone hold "
            f"{entry['ours_import_mb']:.0f} MB and {entry['theirs_import_mb']:.0f} MB; samples: "
            f"{entry['ours_samples']:,} and {entry['theirs_samples']:,} (torch-rechub drops what "
            "goes beyond 50 events of a user, their val and test rows among it)."
        )
    if stages := entry.get("ours_stages"):
        longest = sorted(stages.items(), key=lambda stage: -stage[1])[:5]
        parts.append("Ours by stage: " + ", ".join(f"{n} {s:.2f} s" for n, s in longest) + ".")
    parts.append(_noise(entry))
    return " ".join(parts)


def _scale(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("rows", "seconds", "µs a row", "CPU µs a row", "peak", "at most 10 GiB", "CSV", "disk")
    rows = [
        (
            f"{entry['rows']:,}",
            _seconds(entry, "ours"),
            f"{entry['ours_microseconds_per_row']:.2f}",
            f"{entry['ours_cpu_microseconds_per_row']:.2f}",
            f"{entry['ours_peak_mb']:,.0f} MB",
            "yes" if entry["within_10_gib"] else "**no**",
            f"{entry['csv_mb']:,.0f} MB",
            f"{entry['disk_mb']:,.0f} MB",
        )
        if entry["ours_outcome"] == "ok"
        else (f"{entry['rows']:,}", _seconds(entry, "ours"), *["-"] * 6)
        for entry in entries
    ]
    notes = [
        f"DuckDB's memory_limit is {entries[0]['memory_limit']}. {_ABOUT_SCALE}",
    ]
    done = [entry for entry in entries if entry["ours_outcome"] == "ok"]
    if len(done) > 1 and done[0].get("machine") == done[-1].get("machine"):
        growth = [
            done[-1][figure] / done[0][figure]
            for figure in ("ours_microseconds_per_row", "ours_cpu_microseconds_per_row")
        ]
        notes.append(
            f"Linear would be the same cost a row everywhere: the last is {growth[0]:.2f} times "
            f"the first, {growth[1]:.2f} times in processor time."
        )
    notes += [f"`{entry['case']}`: {_noise(entry)}" for entry in done]
    return _table(head, rows) + "\n\n" + _bullets(notes)


def _training(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("preset", "precision", "ours", "torch-rechub", "ratio", "matmul share", "first step")
    rows = [
        (
            entry["preset"],
            entry.get("precision", "-"),
            _rate(entry, "ours"),
            _rate(entry, "theirs"),
            _ratio(entry),
            f"{entry['matmul_share']:.0%}" if "matmul_share" in entry else "-",
            _first_steps(entry),
            f"{entry['ours_peak_mb']:,.0f} MB",
            f"{entry['theirs_peak_mb']:,.0f} MB",
        )
        for entry in entries
    ]
    notes = [
        _STEADY,
        _MATMUL_SHARE,
        _NEAREST,
        *(_training_note(entry) for entry in entries),
    ]
    return _table((*head, "our peak", "their peak"), rows) + "\n\n" + _bullets(notes)


def _training_note(entry: Mapping[str, Any]) -> str:
    parts = [f"`{entry['case']}`:"]
    if entry["ours_outcome"] == "ok":
        parts.append(
            f"`torch.matmul` reached {entry['ours_matmul_gflops']:,.0f} GFLOP/s; activation unit: "
            f"{entry['activation_unit']}; {entry['ours_mean_history']:.1f} positions a history."
        )
    parts.append(_noise(entry))
    return " ".join(parts)


def _steps(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("preset", "items", "samples", "a step", "waiting for data", "ratio", "peak")
    rows = [row for entry in entries for row in step_cases.rows_of(entry)]
    return _table(head, rows) + "\n\n" + _bullets([_ABOUT_STEPS])


def _busy(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("preset", "busy processes beside", "as it is", "as it was", "ratio", "of a fair share")
    rows = [row for entry in entries for row in busy_cases.rows_of(entry)]
    return _table(head, rows) + "\n\n" + _bullets([_ABOUT_BUSY])


def _serving(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("preset", "candidates", "`rank.onnx`", "p50 / p99", "candidates", "repeated rows")
    rows = [row for entry in entries for row in serving_cases.rows_of(entry)]
    rates = [
        f"`{each['case']}`: `torch.matmul` reached {each['matmul_gflops']:,.0f} GFLOP/s."
        for each in entries
        if "matmul_gflops" in each
    ]
    return (
        _table((*head, "ratio", "torch-rechub", "ratio"), rows)
        + "\n\n"
        + _bullets([_ABOUT_SERVING, *rates])
    )


def _languages(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for entry in entries for row in language_cases.rows_of(entry)]
    head = ("ids", "candidates", "Python", "Node", "largest difference")
    return _table(head, rows) + "\n\n" + _bullets([_ABOUT_LANGUAGES])


def _gpu(entries: Sequence[Mapping[str, Any]]) -> str:
    agreed = [each for each in entries if each["case"].startswith("gpu_agreement")]
    trained = [each for each in entries if each not in agreed]
    cards = ", ".join(dict.fromkeys(each["card"] for each in entries if each["card"]))
    parts = [f"Card: {cards or 'none, so the figures say nothing'}."]
    if agreed:
        head = ("preset", "test AUC on the CPU", "on the GPU", "loss apart", "validation AUC apart")
        parts.append(_table(head, [gpu_cases.agreement_rows(entry) for entry in agreed]))
    if trained:
        head = ("preset", "ours", "torch-rechub", "ratio", "an epoch", "GPU's share")
        rows = [gpu_cases.training_rows(entry) for entry in trained]
        parts.append(_table((*head, "waits", "peak on the GPU"), rows))
    return "\n\n".join([*parts, _bullets([_ABOUT_GPU])])


def _quality(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("side", "library", "validation AUC", "test AUC", "test GAUC", "fitting and scoring")
    best_last = sorted(entries, key=lambda entry: entry.get("test_auc") or 0.0)
    rows = [quality_cases.rows_of(entry) for entry in best_last]
    return _table(head, rows) + "\n\n" + _bullets([_ABOUT_QUALITY])


def _growth(entries: Sequence[Mapping[str, Any]]) -> str:
    [entry] = entries
    if "days" not in entry:
        return _bullets([f"`growth`: {entry['outcome']}"])
    head = ("day", "items known", "test AUC, cold", "warm", "of the day's rows, cold", "warm")
    table = _table((*head, "CPU, cold", "CPU, warm", "ratio"), growth_cases.rows_of(entry))
    options = ", ".join(f"`{name}: {value}`" for name, value in entry["warm"]["warm"].items())
    how = f"Cold is the preset `{entry['preset']}`; warm is the same with {options}."
    return table + "\n\n" + _bullets([how, _ABOUT_GROWTH])


def _noise(entry: Mapping[str, Any]) -> str:
    """All repeats, and how busy the machine was: what a reader needs to judge the medians."""
    spread = [
        f"{name} {', '.join(f'{value:,.4g}' for value in entry[key])}"
        for name, key in (("ours", "ours_all"), ("theirs", "theirs_all"))
        if key in entry
    ]
    load = f"; load average {entry['load_average']}" if "load_average" in entry else ""
    return f"All runs: {'; '.join(spread)}{load}."


def _log_in_words(entry: Mapping[str, Any]) -> str:
    log = entry["log"]
    if log["source"] != "generated":
        return f"`{log['source']}`"
    name = entry["case"].removeprefix("sequences_")
    return f"generated, shape of {name} ({log['users']:,} users, {log['items']:,} items)"


def _seconds(entry: Mapping[str, Any], side: str) -> str:
    key = f"{side}_seconds"
    return f"{entry[key]:,.2f} s" if key in entry else _why_not(entry, side)


def _rate(entry: Mapping[str, Any], side: str) -> str:
    key = f"{side}_samples_per_s"
    return f"{entry[key]:,.0f} / s" if key in entry else _why_not(entry, side)


def _why_not(entry: Mapping[str, Any], side: str) -> str:
    seconds = entry.get(f"{side}_gave_up_after_s", 0.0)
    return _UNFINISHED[entry[f"{side}_outcome"]].format(seconds=seconds)


def _first_steps(entry: Mapping[str, Any]) -> str:
    times = [entry.get(f"{side}_time_to_first_step_s") for side in ("ours", "theirs")]
    return " / ".join("-" if time is None else f"{time:.1f} s" for time in times)


def _ratio(entry: Mapping[str, Any]) -> str:
    sign = "≥ " if entry.get("ratio_is_lower_bound") else ""
    ratio = _times(entry.get("ratio"))
    return ratio if ratio == "-" else f"**{sign}{ratio}**"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:,.1f} x"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


#: Beginning of a case's name, title of its section and what writes it, in the page's order.
SECTIONS: tuple[tuple[str, str, Callable[[Sequence[Mapping[str, Any]]], str]], ...] = (
    ("sequences_", "Sequence builder: CSV to train-ready arrays", _sequences),
    ("scale_", "Sequence builder at scale (ours alone)", _scale),
    ("training_", "Training, in steady state", _training),
    ("steps_", "Training steps where much is large (ours alone)", _steps),
    ("busy_", "Training on a machine that others use too (ours alone)", _busy),
    ("serving_", "Rankings of many candidates", _serving),
    ("languages", "The same graph from another language", _languages),
    ("gpu_", "On a GPU", _gpu),
    ("quality", "Accuracy beside what people would pick instead", _quality),
    ("growth", "A log that grows: from random weights, or from the model before", _growth),
)
