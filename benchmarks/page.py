"""``RESULTS.md``: the page for people, in Markdown, from the figures of ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import (
    busy_cases,
    embedding_cases,
    engine_cases,
    footnotes,
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


def render(results: Mapping[str, Any]) -> str:
    """Return the page for people, in Markdown."""
    cases = results["cases"]
    parts = [
        "# Benchmark results",
        footnotes.INTRODUCTION,
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
        footnotes.ABOUT_SEQUENCES,
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
        f"DuckDB's memory_limit is {entries[0]['memory_limit']}. {footnotes.ABOUT_SCALE}",
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
            entry.get("precision", "-") + (", spinning" if entry.get("spinning") else ""),
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
        footnotes.STEADY,
        footnotes.MATMUL_SHARE,
        footnotes.NEAREST,
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
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_STEPS])


def _busy(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("preset", "busy processes beside", "as it is", "as it was", "ratio", "of a fair share")
    rows = [row for entry in entries for row in busy_cases.rows_of(entry)]
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_BUSY])


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
        + _bullets([footnotes.ABOUT_SERVING, *rates])
    )


def _languages(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = [row for entry in entries for row in language_cases.rows_of(entry)]
    head = ("ids", "candidates", "Python", "Node", "largest difference")
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_LANGUAGES])


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
    return "\n\n".join([*parts, _bullets([footnotes.ABOUT_GPU])])


def _quality(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("side", "library", "validation AUC", "test AUC", "test GAUC", "fitting and scoring")
    best_last = sorted(entries, key=lambda entry: entry.get("test_auc") or 0.0)
    rows = [quality_cases.rows_of(entry) for entry in best_last]
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_QUALITY])


def _growth(entries: Sequence[Mapping[str, Any]]) -> str:
    [entry] = entries
    if "days" not in entry:
        return _bullets([f"`growth`: {entry['outcome']}"])
    head = ("day", "items known", "test AUC, cold", "warm", "of the day's rows, cold", "warm")
    table = _table((*head, "CPU, cold", "CPU, warm", "ratio"), growth_cases.rows_of(entry))
    options = ", ".join(f"`{name}: {value}`" for name, value in entry["warm"]["warm"].items())
    how = f"Cold is the preset `{entry['preset']}`; warm is the same with {options}."
    return table + "\n\n" + _bullets([how, footnotes.ABOUT_GROWTH])


def _engines(entries: Sequence[Mapping[str, Any]]) -> str:
    head = ("log", "engine", "cores", "seconds", "CPU", "peak", "disk", "longest")
    rows = [row for entry in entries for row in engine_cases.rows_of(entry)]
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_ENGINES])


def _embeddings(entries: Sequence[Mapping[str, Any]]) -> str:
    of_kind = ("a step sends", "table and moments", "a step takes")
    head = ("rows", "width", *(f"{kind}: {each}" for kind in ("all", "share") for each in of_kind))
    rows = [row for entry in entries for row in embedding_cases.rows_of(entry)]
    return _table(head, rows) + "\n\n" + _bullets([footnotes.ABOUT_EMBEDDINGS])


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
    ("engines_", "The tables by other engines (ours alone)", _engines),
    ("embeddings", "Two processes: all embedding rows in each, or a share", _embeddings),
)
