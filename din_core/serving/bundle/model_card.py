"""``README.md`` of a bundle: a model card, with the front matter that Hugging Face reads."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from din_core.escaping import markdown_code, markdown_code_cell, markdown_text
from din_core.metrics.registry import OF_A_MODEL
from din_core.serving.bundle import contents

_FILES = {
    contents.RANK: "one user and many candidates, in the ids of the log",
    contents.SCORE: "rows of the table `samples`, in ids",
    contents.EXPLAIN: "one candidate, and what each event of the history does to its score",
    contents.RANK_INDICES: "as `rank.onnx`, on the indices of the vocabularies",
    contents.SCORE_INDICES: "rows of the table `encoded_samples`, on indices",
    f"{contents.VOCABULARIES}/": "the index of each id, and what describes it",
    contents.HISTORIES: "each user's latest events: the default history of a request",
    "manifest.json": "inputs, types, versions, options and figures, for programs; each file's hash",
    f"{contents.SQL}/": "what made the samples from the table `interactions`, in order",
    contents.EXAMPLE: "the shortest program that ranks: numpy and onnxruntime alone",
}
#: Types of ONNX under the names that numpy has for them.
_TYPES = {"float": "float32"}
#: What the figures are, in the order in which they stand in the card.
_OF_A_SCORE = {
    **{name: metric.definition for name, metric in OF_A_MODEL.items()},
    "gauc_users_left_out": "users with samples of one label only, who have no AUC",
}
_OF_RANKS = {
    "mrr": "mean of 1 / rank of the taken item",
    "hr_at_": "share of taken items among the first k",
    "ndcg_at_": "gain discounted by the logarithm of the rank, of the first k",
}
_OF_RIVALS = {
    "popularity_auc": "ordering by the item's popularity",
    "item_cooccurrence_auc": "ordering by how often items are taken together",
    "oracle_auc": "ordering by the true chances of the synthetic log",
}
#: Samples under which a slice says little.
_LEAST_SAMPLES = 100
_WEAKEST = 5
#: Test samples under which the figures say little.
_FEW_SAMPLES = 1_000
_COUNTS = ("gauc_users_left_out",)


def write(about: Mapping[str, Any]) -> str:
    """Return the model card of a bundle.

    Args:
        about: What its manifest says; see :mod:`din_core.serving.bundle.manifest`.
    """
    front = yaml.safe_dump(_front_matter(about), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{body(about)}"


def body(about: Mapping[str, Any]) -> str:
    """Return the model card without the front matter; arguments as :func:`write`."""
    return "\n".join(_body(about)) + "\n"


def _front_matter(about: Mapping[str, Any]) -> dict[str, Any]:
    """What Hugging Face's hub shows and searches."""
    figures = [
        {"type": each["metric"], "value": round(each["value"], 6)}
        for each in _whole_test(about["metrics"])
        if each["metric"] not in _OF_RIVALS
    ]
    results = {
        "task": {"type": "tabular-classification", "name": "click-through-rate prediction"},
        "dataset": {"type": "private", "name": "the log that it was trained on", "split": "test"},
        "metrics": figures,
    }
    front: dict[str, Any] = {
        "library_name": "onnx",
        "license": "other",
        "license_name": "as-the-training-data",
        "pipeline_tag": "tabular-classification",
        "tags": ["recommendation", "ranking", "click-through-rate", about["model"], "onnx"],
    }
    if figures:
        front["model-index"] = [{"name": about["model"], "results": [results]}]
    return front


def _body(about: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {about['model']}: which item a user takes next"
    yield ""
    yield "A network for click-through-rate prediction (Zhou et al., KDD 2018), with all that a"
    yield "server needs: ids in, scores out. It was made by din-assets, which says in"
    yield "`docs/serving.md` how it is served in Python, JavaScript and Java."
    yield ""
    yield "## What the score is"
    yield ""
    yield textwrap.fill(about["score"]["meaning"], 90)
    yield ""
    yield from _use(about)
    yield from _training(about)
    yield from _figures(about["metrics"])
    yield from _weak_slices(about["metrics"])
    yield from _limits(about)
    yield "## Licence"
    yield ""
    yield "The weights, the vocabularies and the histories come from the log: what its owner allows"
    yield "holds for them. Its personal data is in here, too: the ids, and `histories.parquet`. The"
    yield "program that made them is under the MIT licence."


def _use(about: Mapping[str, Any]) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "`python example.py`, after `pip install numpy onnxruntime`, ranks three items."
    yield ""
    yield "| file | what it is |"
    yield "|---|---|"
    for file, what in _FILES.items():
        if not file.endswith(".onnx") or file in about["graphs"]:
            yield f"| `{file}` | {what} |"
    yield ""
    for file, why in about["left_out"].items():
        yield f"There is no `{file}`: {markdown_text(why)}."
        yield ""
    for file in (contents.RANK, contents.RANK_INDICES):
        if file in about["graphs"]:
            yield from _inputs(file, about["graphs"][file])
            break
    padding = "the empty text" if about["padding"] == "" else f"`{about['padding']}`"
    yield f"A history runs oldest first; the latest {about['max_history']} events of known items"
    yield "count. An id that the model does not know is *unknown*; in a history it counts for"
    yield f"nothing. Where rows need histories of one length, fill up with {padding}."
    yield ""


def _inputs(file: str, graph: Mapping[str, Any]) -> Iterator[str]:
    yield f"`{file}`:"
    yield ""
    yield "| input or output | type | shape |"
    yield "|---|---|---|"
    for each in (*graph["inputs"], *graph["outputs"]):
        shape = ", ".join(map(str, each["shape"]))
        kind = _TYPES.get(each["type"], each["type"])
        yield f"| {markdown_code_cell(each['name'])} | {kind} | [{shape}] |"
    yield ""


def _training(about: Mapping[str, Any]) -> Iterator[str]:
    log = about["log"]
    yield "## Training data"
    yield ""
    yield f"{log['users']:,} users, {log['items']:,} items and {log['events']:,} events" + _span(
        log
    )
    yield ""
    yield "| split | samples | positive |"
    yield "|---|---|---|"
    for each in about["splits"]:
        yield f"| {each['split']} | {each['samples']:,} | {each['positives']:,} |"
    yield ""
    yield from _start(about.get("warm_start"))
    described = {"items": about["item_columns"], "users": about["user_columns"]}
    described["the moment"] = [
        name for name in about["context"] if name not in about["log_numbers"]
    ]
    for what, columns in described.items():
        if columns:
            yield f"What describes {what}: {', '.join(map(markdown_code, columns))}."
            yield ""
    if about["log_numbers"]:
        names = ", ".join(map(markdown_code, about["log_numbers"]))
        yield (
            f"Counted in the log, of training events before the moment of a request: {names}. "
            "`Ranker` counts them; to a graph they are sent, and NaN is a missing one."
        )
        yield ""


def _start(warm_start: Mapping[str, Any] | None) -> Iterator[str]:
    """What the training started from, where that was another model."""
    if not warm_start:
        return
    rows = ", ".join(
        f"{taken:,} of {n_rows:,} rows of {markdown_code(table)}"
        for table, (taken, n_rows) in warm_start["rows"].items()
    )
    yield f"Training started from model `{warm_start['from']}`, and took over {rows}."
    yield ""
    seen = warm_start["held_out_but_seen"]
    if None in seen.values():
        yield "It is not known whether that one was trained on what is held out here."
        yield ""
    elif any(seen.values()):
        counts = " and ".join(f"{n:,} of the split {split}" for split, n in seen.items())
        yield f"That one, or one before, was trained on positives that are held out here: {counts}."
        yield "**The figures are too good.**"
        yield ""


def _span(log: Mapping[str, Any]) -> str:
    first, last = (_date(log[name]) for name in ("first_time", "last_time"))
    return f", from {first} to {last}" if first and last else ""


def _date(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return None  # beyond the year 9999


def _figures(metrics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    figures = {each["metric"]: each for each in _whole_test(metrics)}
    if not figures:
        return
    yield "## Figures"
    yield ""
    n_samples = max((each.get("n_samples") or 0 for each in figures.values()), default=0)
    few = "; so few say little" if n_samples < _FEW_SAMPLES else ""
    yield f"On the test split ({n_samples:,} samples{few}), with intervals of 95% over users where"
    yield "there are some."
    yield ""
    others = {name: "" for name in figures if not is_described(name)}
    yield from _figures_of("of the scores", figures, {**_OF_A_SCORE, **others})
    yield from _figures_of("AUC of what needs no model", figures, _OF_RIVALS)
    ranks = {
        name: what
        for prefix, what in _OF_RANKS.items()
        for name in sorted((each for each in figures if each.startswith(prefix)), key=_with_numbers)
    }
    if ranks:
        yield "A taken item's rank among other items: `_all` is all items, `_sampled` a sample."
        yield ""
    yield from _figures_of("of ranks", figures, ranks)


def is_described(name: str) -> bool:
    """Say whether the card tells of a figure what it is."""
    return name in _OF_A_SCORE or name in _OF_RIVALS or name.startswith(tuple(_OF_RANKS))


def _with_numbers(name: str) -> list[tuple[int, str]]:
    """A key for names in which numbers count as numbers: 5 is before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split("_")]


def _figures_of(
    heading: str, figures: Mapping[str, Mapping[str, Any]], told: Mapping[str, str]
) -> Iterator[str]:
    if not any(name in figures for name in told):
        return
    yield f"| {heading} | value | interval | what it is |"
    yield "|---|---|---|---|"
    for name, what in told.items():
        if name in figures:
            each = figures[name]
            value = f"{each['value']:,.0f}" if name in _COUNTS else f"{each['value']:.4f}"
            yield f"| {markdown_code_cell(name)} | {value} | {_interval(each)} | {what} |"
    yield ""


def _weak_slices(metrics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The slices whose AUC is the lowest, where the table of figures has slices."""
    whole = next((each["value"] for each in _whole_test(metrics) if each["metric"] == "auc"), None)
    slices = [
        each
        for each in metrics
        if each["split"] == "test"
        and each["metric"] == "auc"
        and each.get("slice", "all") != "all"
        and each["value"] is not None
        and (each.get("n_samples") or 0) >= _LEAST_SAMPLES
        and whole is not None
        and each["value"] < whole
    ]
    if not slices:
        return
    yield "## Where it is weak"
    yield ""
    yield "| slice | AUC | interval | samples |"
    yield "|---|---|---|---|"
    for each in sorted(slices, key=lambda each: each["value"])[:_WEAKEST]:
        name = f"{markdown_code_cell(each['slice'])} {markdown_text(each['slice_value'])}"
        yield f"| {name} | {each['value']:.4f} | {_interval(each)} | {each['n_samples']:,} |"
    yield ""


def _limits(about: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- It knows the items and users of the log alone: every new item has the score of an"
    yield "  unknown one, until the model is trained again."
    if about["score"]["kind"] == "relative":
        yield "- Negatives were sampled: what was never shown counts as not wanted."
    if not about["uses_user"]:
        yield "- Of the user it reads the history alone: without one, all users are alike."
    yield "- It learned from what an earlier system showed and people did; it repeats their bias."
    yield ""


def _whole_test(metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        each
        for each in metrics
        if each["split"] == "test"
        and each.get("slice", "all") == "all"
        and each["value"] is not None
    ]


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
