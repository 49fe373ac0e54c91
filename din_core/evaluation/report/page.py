"""From the contents of a report to its page: one file that loads nothing and runs nothing.

Whatever comes from the log is text: Jinja escapes it, and what a terminal would obey is spelt out.
Equal contents are equal bytes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jinja2
from markupsafe import Markup

from din_core.escaping import printable
from din_core.evaluation import verdict
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.meaning_of_weights import meaning_of_weights
from din_core.evaluation.report import charts, words
from din_core.evaluation.report.contents import Contents, Row
from din_core.evaluation.score_meaning import ScoreMeaning
from din_core.evaluation.slices import PARTS
from din_core.metrics.registry import OF_TWO_MODELS

#: The file that holds the page.
FILE = "report.html"

_TEMPLATE = "page.html.jinja"
_EARLIER = 5  # models
_VERSION = 10  # digits of a version that tell it from others


def render(contents: Contents) -> str:
    """Return the page.

    Args:
        contents: From :func:`din_core.evaluation.report.contents.read`.
    """
    whole = {
        each["metric"]: each
        for each in contents.figures
        if each["model"] == "now" and each["slice"] == "all"
    }
    judged = verdict.over_popularity(
        Comparison(
            each["rival"],
            each["metric"],
            Interval(each["difference"], each["low"], each["high"]),
            each["n_users"],
        )
        for each in contents.comparisons
    )
    meaning = contents.meaning
    named = [
        (name, (*words.figure_name(name), each))
        for name, each in sorted(whole.items(), key=_as_told)
    ]
    aside = {name for name, _ in named if words.is_aside(name)}
    read_with = contents.made["interactions"].options
    drifted = sum(each["outcome"] == "drifted" for each in contents.drift)
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            contents=contents,
            auc=whole.get("auc"),
            in_words=words.pairs(whole.get("auc"), whole.get("popularity_auc"), meaning["n_users"]),
            notes=words.notes(
                contents.log,
                meaning,
                judged.sentence,
                beats_popularity=judged.outcome == "better",
                drifted=drifted,
            ),
            score_is=ScoreMeaning(
                meaning["score_is"], meaning["trained_rate"], meaning["base_rate"]
            ).sentence(),
            figures=[each for name, each in named if name not in aside],
            more_figures=[each for name, each in named if name in aside],
            drops_duplicates=bool(read_with.get("drop_duplicates")),
            slices=list(_slices(contents.figures)),
            changes=list(_changes(contents)),
            judged=next((each for each in contents.models if each["is_latest"]), None),
            earlier=[
                each
                for each in contents.models
                if each["model_version"] != meaning["model_version"]
            ][:_EARLIER],
            curves=list(_curves(contents.history)),
            calibration=_calibration(contents.calibration),
            explained=_explained(contents),
            options={
                name: {key: json.dumps(value) for key, value in entry.options.items()}
                for name, entry in contents.made.items()
                if entry.options
            },
            version_digits=_VERSION,
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast("dict[str, object]", environment.filters).update(
        count=words.count,
        figure=words.figure,
        valued=words.valued,
        difference=words.difference,
        date=words.date,
        conclusion=words.conclusion,
        rival=words.rival_name,
        figure_name=_figure_name,
        measure=words.measure_name,
        signed=words.signed,
    )
    return environment


def _figure_name(metric: str) -> str:
    return words.figure_name(metric)[0]


def _shown(value: object) -> object:
    """Spell out what is invisible, or turns the text around, in whatever is no markup."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value)


def _as_told(named: tuple[str, Row]) -> tuple[int, str]:
    order = [*words.FIGURES]
    name = named[0]
    return (order.index(name) if name in order else len(order), name)


def _slices(figures: Sequence[Row]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Yield each slice with its parts, which have their AUC as a number and as a picture."""
    aucs = {
        (each["slice"], each["slice_value"]): each
        for each in figures
        if (each["model"], each["metric"]) == ("now", "auc")
    }
    known = [
        (each["low"], each["high"])
        for (name, _), each in aucs.items()
        if name in PARTS and each["low"] is not None and each["high"] is not None
    ]
    scale = (min((low for low, _ in known), default=0), max((high for _, high in known), default=1))
    for name, parts in PARTS.items():
        rows = [_part(part, aucs[name, part], scale) for part in parts if (name, part) in aucs]
        if rows:
            yield name.replace("_", " "), rows


def _part(part: str, of: Row, scale: tuple[float, float]) -> dict[str, Any]:
    low, value, high = of["low"], of["value"], of["high"]
    drawn = Markup()
    if low is not None and value is not None and high is not None:
        drawn = charts.interval(
            low, value, high, scale, f"AUC {value:.4f}, {low:.4f} to {high:.4f}"
        )
    return {"part": part, "samples": of["n_samples"], "of": of, "drawn": drawn}


def _changes(contents: Contents) -> Iterable[dict[str, Any]]:
    """Yield the figures that the model and the one before were compared by."""
    of_models = {
        (each["model"], each["metric"]): each["value"]
        for each in contents.figures
        if each["slice"] == "all"
    }
    beside = {
        each["metric"]: each for each in contents.comparisons if each["rival"] == "previous_model"
    }
    for metric in OF_TWO_MODELS:
        if metric in beside:
            yield {
                "metric": metric,
                "before": of_models.get(("before", metric)),
                "now": of_models.get(("now", metric)),
                "by": beside[metric],
            }


def _curves(history: Sequence[Row]) -> Iterable[Markup]:
    losses = [
        (float(each["epoch"]), each["train_loss"])
        for each in history
        if each["train_loss"] is not None
    ]
    measured = [
        (float(each["epoch"]), each["val_auc"]) for each in history if each["val_auc"] is not None
    ]
    if losses:
        yield charts.curve(
            losses,
            alt=f"Training logloss by epoch: from {losses[0][1]:.4f} to {losses[-1][1]:.4f}.",
            across="epoch",
            up="training logloss",
        )
    if measured:
        best = max(measured, key=lambda each: each[1])
        yield charts.curve(
            measured,
            alt=f"Validation AUC by epoch: best {best[1]:.4f} in epoch {best[0]:.0f}.",
            across="epoch",
            up="validation AUC, the best one ringed",
            marked=best,
        )


def _calibration(rows: Sequence[Row]) -> Markup | None:
    points = [(each["mean_score"], each["share_of_positives"]) for each in rows]
    if not points:
        return None
    said = "; ".join(f"{score:.2f}: {share:.2f}" for score, share in points)
    return charts.reliability(
        points, alt=f"Mean score and share that was taken, by tenth of the samples: {said}."
    )


def _explained(contents: Contents) -> Mapping[str, Any] | None:
    rows = contents.explained
    if not rows:
        return None
    most = max(abs(each["score_change"]) for each in rows)
    return {
        "sentence": words.of_explained(rows[0], contents.attribute),
        "meaning": meaning_of_weights(
            rows[0]["attention_weight_item"] is not None, bool(rows[0]["weights_are_shares"])
        ),
        "events": [
            {
                "item": str(each["hist_item_id"]),
                "value": each["hist_value"] if contents.attribute else None,
                "day": f"{each['hist_time']:%Y-%m-%d}",
                "change": each["score_change"],
                "drawn": charts.change(
                    each["score_change"], most, f"change {each['score_change']:+.4f}"
                ),
            }
            for each in rows
        ],
    }
