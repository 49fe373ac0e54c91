"""Writing a bundle: everything a server needs, from a saved model and the pipeline's tables."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core import manifests
from din_core.serving import vocabularies
from din_core.serving.bundle import contents, example, manifest, model_card
from din_core.serving.bundle.histories import USERS_OF_A_GROUP
from din_core.store import sql_files
from din_core.tables import known_ids, recorded_choices, sequences
from din_core.tables.lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from din_core.serving.saved_models import SavedModel
    from din_core.tables.template_context import TemplateContext


@dataclass(frozen=True)
class Built:
    """A bundle that was written.

    Attributes:
        about: What its manifest is to say; see :mod:`din_core.serving.bundle.manifest`.
        version: Hash of all that it consists of.
        model_card: Its model card, Markdown without the front matter.
    """

    about: dict[str, Any]
    version: str
    model_card: str


def build(
    con: duckdb.DuckDBPyConnection, model_folder: Path, saved: SavedModel, folder: Path
) -> Built:
    """Write a bundle, the manifest included.

    Args:
        con: Connection to the pipeline's database.
        model_folder: The folder of the saved model, with its vocabularies.
        saved: The model.
        folder: Where the files go; empty.

    Raises:
        ExportError: A graph cannot be written, or answers otherwise than the model.
        OtherIdsError: The tables are those of another load than the model was trained on.
    """
    from din_core.serving import graphs, own_ids

    own_ids.require_own_ids(con, model_folder, saved.vocabulary)
    context = recorded_choices.recorded_context(con)
    source = model_folder / vocabularies.FOLDER
    shutil.copytree(source, folder / contents.VOCABULARIES)
    report = graphs.write_all(
        saved,
        source,
        folder,
        max_history=context.max_history,
        data_version=manifest.data_version_of(con, "din_model"),
    )
    with_times = bool(saved.config.log_numbers)
    histories = {**context.variables(), "with_times": with_times}
    _write_rows(con, "default_histories", histories, folder / contents.HISTORIES)
    if with_times:
        _write_rows(con, "training_events", {}, folder / contents.ITEM_EVENTS)
    _write_sql(con, context, folder / contents.SQL)
    about = manifest.about(con, context, saved, report, folder)
    (folder / contents.EXAMPLE).write_text(example.write(folder, about), encoding="utf-8")
    (folder / contents.MODEL_CARD).write_text(model_card.write(about), encoding="utf-8")
    version = manifests.content_version(folder, about)
    manifests.write(folder, version, about)
    return Built(about, version, model_card.body(about))


def _write_rows(
    con: duckdb.DuckDBPyConnection, query: str, variables: Mapping[str, Any], path: Path
) -> None:
    from pyarrow import parquet

    writer: Any = parquet  # pyarrow has no types
    rows = con.sql(sql_files.render(query, **variables)).to_arrow_table()
    writer.write_table(rows, path, row_group_size=USERS_OF_A_GROUP, compression="zstd")


def _write_sql(con: duckdb.DuckDBPyConnection, context: TemplateContext, folder: Path) -> None:
    """Write the SQL that made the samples from the table ``interactions``, in order."""
    folder.mkdir()
    files = lineage().files
    (folder / f"00_{known_ids.KEPT}.sql").write_text(
        kept_ids_statement(con, folder), encoding="utf-8"
    )
    variables = {**context.variables(), known_ids.LOAD: 1}
    names = (*sequences.tables(), *sequences.samples_relations())
    for number, name in enumerate(names, start=1):
        variant = sequences.negatives_variant(context) if name == "negatives" else None
        query = sql_files.render(name, variant=variant, **variables)
        kind = "view" if files[name].head.kind == "view" else "table"
        statement = f"create or replace {kind} {sql_files.quote(name)} as\n{query.strip()};\n"
        (folder / f"{number:02}_{name}.sql").write_text(statement, encoding="utf-8")


def kept_ids_statement(con: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """Return the statement that makes the ids which have an index already.

    Of a log that was read once there are none. Where ids came load by load, they lie beside it.

    Args:
        con: Connection to the pipeline's database.
        folder: Where the statement will lie, and the ids beside it.
    """
    from pyarrow import parquet

    columns = "vocabulary, value, idx, load"
    rows = con.sql(
        f"select {columns} from {known_ids.TABLE} where exists (select 1 from {known_ids.TABLE} "
        "where load > 1 or not in_log) order by vocabulary, idx"
    ).to_arrow_table()
    create = f"create or replace table {known_ids.KEPT} as\n"
    if not rows.num_rows:
        return f"{create}select '' as vocabulary, '' as value, 0 as idx, 0 as load where false;\n"
    writer: Any = parquet  # pyarrow has no types
    writer.write_table(rows, folder / f"{known_ids.TABLE}.parquet", compression="zstd")
    where = "-- Run these files in their folder: the ids of earlier loads keep their indices.\n"
    return f"{where}{create}select {columns} from '{known_ids.TABLE}.parquet';\n"
