"""What stands in the report, read from the tables. How it is put, says :mod:`.words`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from din_core import code_versions
from din_core.store import ledger, sql_files
from din_core.tables.template_context import TemplateContext

Row = Mapping[str, Any]
Rows = Sequence[Row]

_LIBRARIES = ("numpy", "torch", "onnx", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What stands in the report; rows as the files ``sql/delivery/report_*.sql`` describe them.

    Attributes:
        log: How large the log is.
        rejections: Why rows could not be used.
        splits: The splits.
        meaning: What a score is, and what the model was judged on.
        figures: Those of the model, and of the one before.
        comparisons: The model beside its rivals.
        models: What was decided about it last, and about the models before; ``is_latest`` in the
            row of the bundle that was made last.
        calibration: Scores and shares, by tenth.
        explained: One answer, event by event.
        drift: The log beside the one before.
        history: The epochs of the training.
        attribute: The item's attribute in ``explained``; None where items have none.
        made: What was recorded of each result.
        libraries: Versions of the libraries, ``name version``.
    """

    log: Row
    rejections: Rows
    splits: Rows
    meaning: Row
    figures: Rows
    comparisons: Rows
    models: Rows
    calibration: Rows
    explained: Rows
    drift: Rows
    history: Rows
    attribute: str | None
    made: Mapping[str, ledger.Entry]
    libraries: Sequence[str]


def read(
    con: duckdb.DuckDBPyConnection,
    context: TemplateContext,
    history: Rows,
    made_from: Sequence[str],
) -> Contents:
    """Read what stands in the report.

    Args:
        con: Connection to the pipeline's database.
        context: What its tables were rendered with.
        history: Of the training, from :func:`din_core.training.history.read`.
        made_from: The results whose options and versions are shown.
    """

    def rows(name: str) -> Rows:
        found = con.execute(sql_files.render(f"report_{name}", **context.variables()))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    [log], [meaning] = rows("log"), rows("meaning")
    attributes = context.item_attributes
    recorded = ledger.entries(con)
    bundle = recorded["bundle"].data_version if "bundle" in recorded else None
    return Contents(
        log=log,
        rejections=rows("rejections"),
        splits=rows("splits"),
        meaning=meaning,
        figures=rows("figures"),
        comparisons=rows("comparisons"),
        models=[{**each, "is_latest": each["bundle_version"] == bundle} for each in rows("models")],
        calibration=rows("calibration"),
        explained=rows("explained"),
        drift=rows("drift"),
        history=history,
        attribute=attributes[0].name if attributes else None,
        made={name: recorded[name] for name in made_from if name in recorded},
        libraries=code_versions.versions_of(_LIBRARIES, engines=True),
    )
