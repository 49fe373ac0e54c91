"""The leaderboard: each trial beside the base of its seed, as a table and as a picture."""

from __future__ import annotations

import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from din_core import store
from din_core.evaluation.ablation.pairing import Difference, paired_difference
from din_core.evaluation.ablation.variants import BASE

if TYPE_CHECKING:
    import duckdb

    from din_core.evaluation.ablation.trials import Trial
    from din_core.inputs.flat_log import TrainingData

# Of a normal distribution: 95% lie within so many deviations.
_DEVIATIONS = 1.96
_SCHEMA = pa.schema(
    [
        ("variant", pa.string()),
        ("seed", pa.int64()),
        ("val_auc", pa.float64()),
        ("test_auc", pa.float64()),
        ("test_gauc", pa.float64()),
        ("test_logloss", pa.float64()),
        ("auc_difference", pa.float64()),
        ("auc_difference_se", pa.float64()),
        ("n_test_samples", pa.int64()),
        ("epochs", pa.int64()),
        ("best_epoch", pa.int64()),
        ("seconds", pa.float64()),
        ("options", pa.string()),
    ]
)


def leaderboard_table(trials: Sequence[Trial], data: TrainingData) -> Any:
    """Return a row for each trial.

    Args:
        trials: As :func:`din_core.evaluation.ablation.trials.run` returns them.
        data: The base's log.

    Returns:
        An Arrow table with the columns of ``ablation``. ``auc_difference`` is against the base of
        the same seed on the same test samples, ``None`` where a variant has others.
    """
    compared = differences(trials, data)
    rows = [_row(trial, compared.get((trial.variant.name, trial.seed))) for trial in trials]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def differences(
    trials: Sequence[Trial], data: TrainingData
) -> Mapping[tuple[str, int], Difference | None]:
    """Compare each trial with the base of its seed; returned by variant and seed."""
    test = data.samples["test"]
    base = {trial.seed: trial.scores for trial in trials if trial.variant.name == BASE}
    return {
        (trial.variant.name, trial.seed): paired_difference(
            test.label, trial.scores, base[trial.seed], test.user
        )
        for trial in trials
        if trial.variant.temporal is None and trial.seed in base
    }


def _row(trial: Trial, difference: Difference | None) -> dict[str, Any]:
    return {
        "variant": trial.variant.name,
        "seed": trial.seed,
        "val_auc": trial.val_auc,
        "test_auc": trial.test_auc,
        "test_gauc": trial.test_gauc,
        "test_logloss": trial.test_logloss,
        "auc_difference": difference and difference.value,
        "auc_difference_se": difference and difference.standard_error,
        "n_test_samples": len(trial.scores),
        "epochs": trial.epochs,
        "best_epoch": trial.best_epoch,
        "seconds": trial.seconds,
        "options": json.dumps(trial.variant.options, sort_keys=True),
    }


def write_leaderboard(con: duckdb.DuckDBPyConnection, rows: Any) -> int:
    """Make the table ``ablation``, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        rows: From :func:`leaderboard_table`.

    Returns:
        Rows of the table.
    """
    con.register("ablation_trials", rows)
    try:
        return store.create_table(con, "ablation")
    finally:
        store.unregister(con, "ablation_trials")


def content_of(rows: Any) -> bytes:
    """Return what the trials came to, without the seconds that they took."""
    return json.dumps(rows.drop_columns(["seconds"]).to_pylist(), sort_keys=True).encode()


@dataclass(frozen=True)
class _Line:
    """A variant in the picture: its mean, and the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def leaderboard_picture(rows: Any, *, dpi: int = 100) -> bytes:
    """Draw the paired difference of each variant to the base, with its interval of 95%.

    The interval takes in both what other users and what other seeds would have given.

    Args:
        rows: From :func:`leaderboard_table`.
        dpi: Resolution.

    Returns:
        A PNG.
    """
    lines = sorted(_lines(rows.to_pylist()), key=lambda line: line.value)
    figure = Figure(figsize=(8, 1.4 + 0.28 * max(1, len(lines))), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, line in enumerate(lines):
        is_clear = line.low > 0 or line.high < 0
        colour = "tab:grey" if not is_clear else "tab:green" if line.value > 0 else "tab:red"
        axes.plot([line.low, line.high], [place, place], color=colour, linewidth=2)
        axes.plot([line.value], [place], marker="o", color=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(lines)), [line.name for line in lines])
    axes.set_xlabel("test AUC minus that of the base, with 95% interval over users and seeds")
    axes.set_title(_title(rows.to_pylist()), fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    buffer = io.BytesIO()
    # Without the entry that names matplotlib's version, so that equal pictures are equal bytes.
    metadata: Mapping[str, Any] = {"Software": None}
    figure.savefig(buffer, format="png", metadata=metadata)
    return buffer.getvalue()


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[_Line]:
    found: list[_Line] = []
    for name in dict.fromkeys(row["variant"] for row in rows if row["variant"] != BASE):
        own = [row for row in rows if row["variant"] == name]
        values = [row["auc_difference"] for row in own if row["auc_difference"] is not None]
        if not values:
            continue
        errors = [row["auc_difference_se"] for row in own if row["auc_difference_se"] is not None]
        of_seeds = statistics.variance(values) / len(values) if len(values) > 1 else 0.0
        width = _DEVIATIONS * math.sqrt(statistics.mean(errors) ** 2 + of_seeds)
        value = statistics.mean(values)
        found.append(_Line(name, value, value - width, value + width))
    return found


def _title(rows: Sequence[Mapping[str, Any]]) -> str:
    base = [row["test_auc"] for row in rows if row["variant"] == BASE]
    known = [each for each in base if each is not None]
    if not known:
        return "the base has no test AUC"
    seeds = "one seed" if len(known) == 1 else f"{len(known)} seeds"
    return f"base: test AUC {statistics.mean(known):.4f}, {seeds}"
