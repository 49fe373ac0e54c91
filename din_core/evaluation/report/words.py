"""The sentences of the report: what a figure says to somebody who never heard its name."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from din_core.metrics.registry import LOWER_IS_BETTER, OF_A_MODEL

Row = Mapping[str, Any]

#: What a figure is, and what its value says. Those of a model say it themselves.
FIGURES: Mapping[str, tuple[str, str]] = {
    **{name: (metric.title, metric.says) for name, metric in OF_A_MODEL.items()},
    "gauc_users_left_out": ("users without a GAUC", "their candidates were all taken, or none was"),
    "popularity_auc": ("AUC of popularity", "the same order for everybody, popular items first"),
    "item_cooccurrence_auc": (
        "AUC of item co-occurrence",
        "items first that others took together with the user's",
    ),
    "oracle_auc": ("AUC of the oracle", "the best order there is, known for a synthetic log only"),
}
_RANKS = {
    "hr_at_": ("hit rate at {k}", "share of taken items among the first {k}"),
    "ndcg_at_": ("NDCG at {k}", "the same, more for a place further up"),
    "mrr": ("MRR", "mean of 1 over the place of the taken item"),
}
_AMONG = {"all": "among all items", "sampled": "among drawn candidates"}
_RIVALS = {
    "popularity": "popularity",
    "item_cooccurrence": "item co-occurrence",
    "base_model": "the paper's BaseModel",
    "previous_model": "the model before",
}
_NONE = "–"  # noqa: RUF001 (a dash in a cell)
_COUNTS = ("gauc_users_left_out",)
_FEW_SAMPLES = 1_000
_MANY_REJECTED = 0.01


def figure_name(metric: str) -> tuple[str, str]:
    """Return what a figure is called, and what it says; its own name where it is not known."""
    if metric in FIGURES:
        return FIGURES[metric]
    for prefix, (called, says) in _RANKS.items():
        if metric.startswith(prefix):
            k, _, among = metric.removeprefix(prefix).partition("_")
            of = _AMONG.get(among or k, "")
            return f"{called.format(k=k)} {of}".strip(), says.format(k=k)
    return metric.replace("_", " "), ""


def is_aside(metric: str) -> bool:
    """Whether a figure is one of ranks that only a second look is for: not the first ten places."""
    return metric.startswith(("hr_at_", "ndcg_at_")) and "_at_10_" not in metric


def count(number: int) -> str:
    """Return a number of things."""
    return f"{number:,}"


def figure(number: float | None) -> str:
    """Return a figure, and a dash where there is none."""
    return _NONE if number is None else f"{number:.4f}"


def signed(number: float | None) -> str:
    """Return a difference, likewise."""
    return _NONE if number is None else f"{number:+.4f}"


def valued(figure: Row) -> str:
    """Return a figure with its interval."""
    if figure["value"] is None:
        return "undefined"
    if figure.get("metric") in _COUNTS:
        return f"{figure['value']:,.0f}"
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:.4f}"
    return f"{figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})"


def difference(comparison: Row) -> str:
    """Return a difference with its interval."""
    if comparison["difference"] is None:
        return "undefined"
    said = f"{comparison['difference']:+.4f}"
    if comparison["low"] is None or comparison["high"] is None:
        return said
    return f"{said} ({comparison['low']:+.4f} to {comparison['high']:+.4f})"


def rival_name(rival: str) -> str:
    """Return what a rival is called."""
    return _RIVALS.get(rival, rival.replace("_", " "))


def conclusion(comparison: Row) -> str:
    """Say what follows from a difference and its interval."""
    low, high = comparison["low"], comparison["high"]
    if low is None or high is None:
        return "no interval, so nothing follows"
    if comparison["metric"] in LOWER_IS_BETTER:
        low, high = -high, -low
    if low > 0:
        return "the model is better"
    return "the model is worse" if high < 0 else "not told apart by this log"


def pairs(auc: Row | None, popularity: Row | None, n_users: int) -> str:
    """Say the AUC, with its interval, in words."""
    if auc is None or auc["value"] is None:
        return "The test samples have no AUC: there are none, or all have the same label."
    said = (
        f"Of 100 pairs of an item that was taken and another candidate, the model puts "
        f"{100 * auc['value']:.1f} in the right order"
    )
    if auc["low"] is not None and auc["high"] is not None:
        said += (
            f" (between {100 * auc['low']:.1f} and {100 * auc['high']:.1f} in 95 of 100 draws of "
            f"the {n_users:,} users)"
        )
    said += ". Chance gets 50"
    if popularity is not None and popularity["value"] is not None:
        said += f", an order by popularity {100 * popularity['value']:.1f}"
    return said + "."


def notes(
    log: Row, meaning: Row, verdict: str, *, beats_popularity: bool, drifted: int
) -> list[str]:
    """Return what a reader has to know before the figures."""
    told: list[str] = []
    if not beats_popularity:
        told.append(f"{verdict[:1].upper()}{verdict[1:]}.")
    if meaning["n_samples"] < _FEW_SAMPLES:
        told.append(
            f"{meaning['n_samples']:,} test samples are too few for the figures to mean much."
        )
    if log["rejected"] > _MANY_REJECTED * (log["interactions"] + log["rejected"]):
        told.append(
            f"{log['rejected']:,} rows of the source could not be used; the reasons are below."
        )
    if drifted:
        figures = "1 figure" if drifted == 1 else f"{drifted} figures"
        told.append(f"The log has drifted from the one before it, in {figures}; see below.")
    return told


def of_explained(row: Row, attribute: str | None) -> str:
    """Say which answer is explained."""
    about = f" ({attribute} {row['target_value']})" if attribute and row["target_value"] else ""
    return (
        f"User {row['user_id']} took item {row['target_item_id']}{about}, which the model gave the "
        f"score {row['score']:.3f}. This is what each of the user's latest events does to it."
    )


def measure_name(row: Row) -> str:
    """Return what a figure of the drift is called."""
    if row["about"]:
        return f"stability of {row['about']}"
    return str(row["measure"]).replace("_", " ")


def date(seconds: float | None) -> str:
    """Return the day (UTC) of a moment; a number of seconds where no calendar has it."""
    if seconds is None:
        return "unknown"
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s"
