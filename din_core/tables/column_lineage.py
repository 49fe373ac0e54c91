"""Where each column of each table comes from: for the asset graph, and as a table for analysts.

What SQL makes is read off the file, rendered as it was for this log
(:func:`~din_core.tables.lineage.column_sources`). Where Python hands rows in, no SQL says what they
come from: ``sql/schema.yml`` does, by ``from``, beside the column's description.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import duckdb
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import texts
from din_core.config import SourceConfig
from din_core.store import sql_files
from din_core.tables import sequences
from din_core.tables.lineage import Sources, UnreadableQueryError, column_sources, head_of, lineage
from din_core.tables.lineage.plausible_contexts import HANDED_TO_ONE
from din_core.tables.template_context import TemplateContext

TABLE = "column_lineage"

_COLUMNS = ("table_name", "column_name", "source_table", "source_column")
_NO_SOURCE: tuple[tuple[str | None, str | None], ...] = ((None, None),)
_LOGGER = logging.getLogger(__name__)


def sources_of(
    con: duckdb.DuckDBPyConnection,
    name: str,
    context: TemplateContext | None,
    source: SourceConfig,
) -> dict[str, Sources]:
    """Return what each column of a table or view comes from, directly.

    Args:
        con: Connection with the relation and those that its file reads.
        name: The table or view.
        context: What its file was rendered with; None where it takes nothing.
        source: How the log was read: the columns of the source have their names from there.

    Returns:
        Its columns in their order, each with relations and their columns. A column is None where
        the relation's rows are counted, or where it is no table (the weights of ``din_model``).
        Nothing stands for a constant and for what is generated, such as a hash.

    Raises:
        UnreadableQueryError: The file reads columns that are not there: something was made with
            other options than those of ``context``.
    """
    return _sources_of(_Database(con), name, context, source)


def _sources_of(
    database: _Database, name: str, context: TemplateContext | None, source: SourceConfig
) -> dict[str, Sources]:
    told, described = _by_sql(database, name, context), sql_files.schema(name)
    options = {**vars(source), "label_col": source.label_col or "label"}
    return {
        column: told.get(column, frozenset())
        | {_source(each.format(**options), column) for each in described.origin(column)}
        for column in database.columns_of(name)
    }


class _Database:
    """What a database has, asked for once."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.relations = store.relations(con)
        self._columns: dict[str, list[str]] = {}

    def columns_of(self, name: str) -> list[str]:
        """Columns of a table or view, in their order."""
        if name not in self._columns:
            self._columns[name] = list(store.column_types(self.con, name))
        return self._columns[name]


def write(con: duckdb.DuckDBPyConnection, context: TemplateContext, source: SourceConfig) -> int:
    """Make the table ``column_lineage`` of all tables and views, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        context: What all of it was made with, as :func:`recorded_choices.recorded_context` says.
        source: How the log was read.

    Returns:
        Rows of the table.
    """
    rows: list[tuple[str, str, str | None, str | None]] = [
        (TABLE, column, None, None) for column in _COLUMNS
    ]
    database = _Database(con)
    for name in database.relations:
        if name == TABLE:
            continue
        try:
            found = _sources_of(database, name, context, source)
        except UnreadableQueryError as error:
            _LOGGER.warning(
                "%s: not told where its columns come from, since it and what it reads were made "
                "with different options (%s); make both again",
                name,
                error,
            )
            found = dict.fromkeys(database.columns_of(name), frozenset[tuple[str, str]]())
        for column, of_column in found.items():
            rows += [
                (name, column, relation, its_column)
                for relation, its_column in of_column or _NO_SOURCE
            ]
    columns = [texts(each) for each in zip(*rows, strict=True)]
    con.register("read_lineage", pa.table(columns, list(_COLUMNS)))
    try:
        return store.create_table(con, TABLE)
    finally:
        store.unregister(con, "read_lineage")


def _by_sql(
    database: _Database, name: str, context: TemplateContext | None
) -> Mapping[str, Sources]:
    """What the relation's file says; nothing where Python hands in all that it reads."""
    file = lineage().files.get(name)
    if file is None or not file.reads:
        return {}
    variant = None
    if context is not None and len(file.paths) > 1:
        variant = sequences.negatives_variant(context)
    head = head_of(sql_files.path_of(name, variant=variant))
    variables = {} if context is None else context.variables()
    query = sql_files.render(name, variant=variant, **{**HANDED_TO_ONE, **variables})
    read = file.reads & database.relations.keys()
    columns_of = {each: database.columns_of(each) for each in read}
    spelt = {
        (relation, column.lower()): column
        for relation, columns in columns_of.items()
        for column in columns
    }
    found = column_sources(database.con, query, columns_of)
    return {
        column: frozenset(
            (relation, None if source is None else spelt.get((relation, source), source))
            for relation, source in sources
            if relation not in head.given
        )
        for column, sources in found.items()
    }


def _source(origin: str, column: str) -> tuple[str, str | None]:
    relation, _, its_column = origin.partition(".")
    return relation, (column if its_column == "*" else its_column) or None
