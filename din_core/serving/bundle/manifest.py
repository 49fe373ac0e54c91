"""What a bundle's manifest says of it, beside the size and hash of each file.

Programs read it (:class:`~din_core.serving.bundle.contents.Bundle`), and so do people: what the
graphs take and give, which ids and padding, from which data, code, options and libraries, and how
good the model is. No time and no place, so that the same bundle has the same bytes.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core import code_versions
from din_core.serving.bundle import contents
from din_core.store import ledger, sql_files

if TYPE_CHECKING:
    import duckdb

    from din_core.serving.graphs import GraphReport
    from din_core.serving.saved_models import SavedModel
    from din_core.tables.template_context import TemplateContext

#: What a bundle is made from; all that these were made from stands in its manifest, too.
MADE_FROM = ("din_model", "samples", "test_auc", "test_predictions")

_LIBRARIES = ("numpy", "torch", "onnx", "onnxruntime")

_RELATIVE = (
    "An order, and no rate: the model was trained to tell what users touched from items that "
    "were drawn. Compare scores of one model with each other; do not multiply them with a price or "
    "read them as a click-through rate."
)
_OF_IMPRESSIONS = (
    "The probability that an impression is taken, among impressions that are shown as those of "
    "the log were."
)


def about(
    con: duckdb.DuckDBPyConnection,
    context: TemplateContext,
    saved: SavedModel,
    report: GraphReport,
    folder: Path,
) -> dict[str, Any]:
    """Put together what the manifest says.

    Args:
        con: Connection to the pipeline's database.
        context: How the samples were made.
        saved: The model.
        report: Of the graphs.
        folder: Where they are.

    Returns:
        JSON types.
    """
    user_ids = _kind_of_ids(con)
    return {
        "bundle_format": contents.FORMAT,
        "model": saved.config.model,
        "tensors_hash": saved.tensors_hash,
        "ids": {"user_id": user_ids, "item_id": report.id_types["item_id"]},
        "padding": report.padding["item_id"],
        "user_padding": report.padding.get("user_id", "" if user_ids == "string" else -1),
        "uses_user": saved.config.use_user or saved.vocabulary.describes_users,
        "max_history": report.max_history,
        "history_order": "oldest first",
        "context": saved.context,
        "log_numbers": [*saved.config.log_numbers],
        "first_item_attribute": next(iter(saved.vocabulary.item_attributes), None),
        "item_columns": [each.name for each in (*context.item_attributes, *context.item_dense)],
        "user_columns": [each.name for each in (*context.user_attributes, *context.user_dense)],
        "score": {
            "kind": "probability" if context.labelled else "relative",
            "meaning": _OF_IMPRESSIONS if context.labelled else _RELATIVE,
        },
        "graphs": {
            name: _interface(folder / name, report.differences.get(name))
            for name in sorted(report.sizes)
        },
        "left_out": report.left_out,
        **{name: saved.metadata[name] for name in ("warm_start",) if name in saved.metadata},
        "log": _row(con, sql_files.render("log_summary")),
        "splits": _rows(con, sql_files.render("split_sizes")),
        "metrics": _metrics(con),
        **record(con),
        "libraries": _libraries(),
    }


def record(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return what was recorded of all that a bundle is made from; JSON types.

    Of each asset its version, its code's and its options, which may be others while the content is
    the same.
    """
    made = _upstream(con)
    return {
        "data_versions": {name: entry.data_version for name, entry in made.items()},
        "code_versions": {name: entry.code_version for name, entry in made.items()},
        "options": {name: dict(entry.options) for name, entry in made.items() if entry.options},
    }


def _upstream(con: duckdb.DuckDBPyConnection) -> dict[str, ledger.Entry]:
    recorded = ledger.entries(con)
    waiting, found = [*MADE_FROM], dict[str, ledger.Entry]()
    while waiting:
        name = waiting.pop()
        if name in recorded and name not in found:
            found[name] = recorded[name]
            waiting += recorded[name].inputs
    return dict(sorted(found.items()))


def data_version_of(con: duckdb.DuckDBPyConnection, asset: str) -> str:
    """Return the version of an asset's content.

    Raises:
        NotMaterializedError: It has not been made.
    """
    return ledger.entry(con, asset).data_version


def _interface(path: Path, difference: float | None) -> dict[str, Any]:
    """What a graph takes and gives, read off the graph itself."""
    import onnx

    # Its inputs stand beside the weights, in the same file.
    graph = onnx.load(path, load_external_data=False).graph
    return {
        "inputs": [_described(each) for each in graph.input],
        "outputs": [_described(each) for each in graph.output],
        **({} if difference is None else {"largest_difference_to_torch": difference}),
    }


def _described(value: Any) -> dict[str, Any]:
    import onnx

    kind = value.type.tensor_type
    return {
        "name": value.name,
        "type": onnx.TensorProto.DataType.Name(kind.elem_type).lower(),
        "shape": [size.dim_param or size.dim_value for size in kind.shape.dim],
    }


def _kind_of_ids(con: duckdb.DuckDBPyConnection) -> contents.IdKind:
    [kind] = {row[1] for row in con.execute("describe users").fetchall() if row[0] == "user_id"}
    return "string" if kind == "VARCHAR" else "int64"


def _metrics(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The figures of this model, as the table ``metrics`` has them.

    When it was judged and what the log was called is left out: a bundle has no time and no place.
    """
    model = data_version_of(con, "din_model")
    rows = con.execute(
        "select model_version, split, slice, slice_value, metric, value, low, high, n_samples "
        "from metrics where model_version = ? order by all",
        [model],
    )
    return _records(rows)


def _row(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    [row] = _rows(con, query)
    return row


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return _records(con.execute(query))


def _records(rows: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _libraries() -> Mapping[str, str]:
    versions = code_versions.versions_of(_LIBRARIES, engines=True)
    found = dict(each.rsplit(" ", 1) for each in versions)
    try:
        ours = metadata.version("din-assets")
    except metadata.PackageNotFoundError:
        ours = "not installed"
    return {"python": platform.python_version(), "din-assets": ours, **found}
