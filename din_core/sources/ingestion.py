"""From files to the relation ``source_rows``: every row of the source, as text, with its line.

:func:`stage` is the way in. It decides nothing about values: which rows are usable is said by
``sql/macros/source_rows.jinja``, how columns are written by :mod:`~din_core.sources.codings`, and
here they are only asked: to learn the types of the columns, to keep what will be rejected whole
(``raw``), and to stop where no usable row is left or a column can be read in more than one way.
:func:`ingest` makes the two tables of it and accounts for every row, on DuckDB or on a cluster.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import duckdb

from din_core.config import SourceConfig, validate
from din_core.engines.engine import DUCKDB, Engine
from din_core.engines.errors import EngineError
from din_core.sources import refusals, remarks, staged_parquet
from din_core.sources.accounts import (
    IngestReport,
    ReadFile,
    SourceReport,
    find_doubtful_values,
    find_rejections,
    find_unread_times,
    find_unreadable_numbers,
)
from din_core.sources.codings import summarise, survey, time_numbers
from din_core.sources.content_hashes import content_hash
from din_core.sources.errors import SourceError
from din_core.sources.files import SourceFile, find_files
from din_core.sources.layout import Layout, read_layout
from din_core.sources.rendering import IngestContext, SourceColumn
from din_core.sources.reserved_names import is_reserved
from din_core.sources.rounded_floats import rounded_floats
from din_core.sources.staged_source import Progress, StagedSource
from din_core.sources.staged_tables import StagedTables
from din_core.store import sql_files

if TYPE_CHECKING:
    from din_core.engines.spark import SparkEngine

_log = logging.getLogger(__name__)
_SHOWN_LABELS = 6


def stage(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> SourceReport:
    """Read a source into the temporary view ``source_rows``.

    The view has ``file, line``, the columns ``user_id, item_id, time``, the attributes and numbers
    by their own names and ``label`` where the source has it, as they stand in the file but for
    blanks around them (NULL in Parquet is ''): BIGINT where each value is a canonical integer, else
    VARCHAR; and
    ``raw, problem``: ``raw`` is filled for each row that will be rejected, ``problem`` where the
    reader could not take a row apart.

    Args:
        con: The connection; what is made is temporary and goes with it.
        source: The source and the names of its columns.
        on_progress: Told after each block how far it is.

    Returns:
        What was found.

    Raises:
        OptionsError: A field of ``source`` must not be what it is.
        SourceError: The source as a whole cannot be used: it is missing, empty, not text, has not
            the columns, has not one usable row, or can be read in more than one way.
    """
    layout = _layout(source)
    report = _judge(source, layout, StagedTables(con, layout, on_progress))
    _log_findings(source.path, report)
    return report


def _layout(source: SourceConfig) -> Layout:
    validate(source)
    wanted = _wanted_columns(source)
    layout = read_layout(
        find_files(source.path),
        wanted,
        source.label_col,
        source.quoting,
        numbers=_dense_cols(source),
    )
    if source.positive_labels and not layout.has_label:
        raise SourceError(
            f"{source.path}: positive_labels is {list(source.positive_labels)}, but no column is "
            "read as the label; name it with label_col"
        )
    return layout


def _judge(source: SourceConfig, layout: Layout, rows: StagedSource) -> SourceReport:
    """Find how the columns are written and which rows will be rejected; stop where none is left."""
    files, staged = layout.files, rows.found
    context = _context(source, layout.has_label, staged.integers)
    codings = survey(rows, source, context)
    summarised = functools.partial(
        summarise, rows, codings, _attribute_cols(source), _dense_cols(source), context
    )
    summary = summarised()
    if words_in := summary.numbers_or_words:
        rows.empty_words(words_in)
        summary = summarised()
    n_rows, n_rejected = summary.n_rows, summary.n_rejected
    judging = dataclasses.replace(context, coding=codings.coding())
    if n_rejected:
        rows.restore_raw(judging)
    rejections = find_rejections(rows, judging) if n_rejected else ()
    where = source.path
    if not n_rows:
        raise SourceError(f"{where}: there is a header and no row below it; is the file complete?")
    refusals.refuse_other_encoding(where, rejections, n_rows)
    refusals.refuse_half_of_times(
        source, rejections, n_rows, lambda: find_unread_times(rows, judging)
    )
    refusals.refuse_ambiguous(
        source,
        summary,
        {rejection.reason: rejection.examples[0] for rejection in rejections},
        (lambda: _labels(rows, judging)) if layout.has_label else None,
    )
    refusals.refuse_without_rows(where, rejections, n_rows, n_rejected, staged.notes)
    unreadable = remarks.refuse_without_numbers(
        source, summary, find_unreadable_numbers(rows, judging)
    )
    notes = staged.notes + _rounded(source, layout)
    if source.quoting != "auto" and all(file.kind == "parquet" for file in files):
        notes += (f"{where}: quoting={source.quoting} changes nothing: Parquet has no quotes",)
    remarked = (
        *remarks.files_of_one_content([file.name for file in files], staged.digests),
        *remarks.notes(
            source,
            layout.columns,
            layout.has_label,
            summary,
            time_numbers(rows, codings, judging),
        ),
        *remarks.doubtful_values(find_doubtful_values(rows, judging, summary)),
        *unreadable,
    )
    notes += tuple(f"{where}: {sentence}" for sentence in remarked)
    if source.positive_labels and layout.has_label:
        remarked = remarks.chosen_labels(source, _distinct_labels(rows, judging))
        notes += tuple(f"{where}: {sentence}" for sentence in remarked)
    recognised = (
        *_other_names(files),
        *remarks.recognised(source, summary),
        *remarks.emptied(words_in),
    )
    return SourceReport(
        files=tuple(file.name for file in files),
        read_files=tuple(
            ReadFile(
                name=file.name,
                path=file.path,
                bytes=file.size,
                sha256=digest,
                is_plain_text=file.kind == "text" and file.compression is None,
            )
            for file, digest in zip(files, staged.digests, strict=True)
        ),
        bytes=sum(file.size for file in files),
        sha256=staged.sha256,
        dialect=layout.dialect,
        columns=layout.columns,
        has_label=layout.has_label,
        lines_read=n_rows,
        continued=staged.continued,
        notes=notes,
        rejected=n_rejected,
        rejections=rejections,
        recognised=recognised,
        summary=summary,
        staged_integers=staged.integers,
    )


def _log_findings(where: str, report: SourceReport) -> None:
    for note in report.notes:
        _log.warning("%s", note)
    for rejection in report.rejections:
        _log.warning(
            "%s: %d of %d rows rejected: %s, for example %s",
            *(where, rejection.rows, report.lines_read, rejection.reason, rejection.examples[0]),
        )
    for sentence in report.recognised:
        _log.info("%s: %s", where, sentence)


def _rounded(source: SourceConfig, layout: Layout) -> tuple[str, ...]:
    numbers = {*_dense_cols(source), "label"}
    columns = [column for name, column in layout.wanted.items() if name not in numbers]
    found = (rounded_floats(file, columns) for file in layout.files if file.kind == "parquet")
    return tuple(sentence for of_file in found for sentence in of_file)


def _other_names(files: Sequence[SourceFile]) -> tuple[str, ...]:
    return tuple(
        f"{file.name} is also called {', '.join(file.other_names)}: it is one file, and read once"
        for file in files
        if file.other_names
    )


def ingest(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    *,
    engine: Engine = DUCKDB,
    on_progress: Callable[[Progress], None] | None = None,
    quiet: bool = False,
) -> IngestReport:
    """Make the tables ``interactions`` and ``rejected_rows``, in the caller's transaction.

    Args:
        con: The connection.
        source: The source and the names of its columns.
        engine: What reads the rows and makes the tables. The tables are the same on each.
        on_progress: Told how far the reading is: after each block, by a cluster at its end.
        quiet: Whether what was found is in the report alone, and not in the log.

    Returns:
        The account of all rows.

    Raises:
        OptionsError, SourceError: As :func:`stage`.
        EngineError: What a cluster needs is not there, or it lost rows.
    """
    layout = _layout(source)
    if engine is not DUCKDB:
        cluster = cast("SparkEngine", engine)
        with staged_parquet.staged(cluster, con, layout, on_progress) as rows:
            return _make_tables(source, layout, rows, quiet=quiet)
    rows = StagedTables(con, layout, on_progress)
    report = _make_tables(source, layout, rows, quiet=quiet)
    rows.discard()
    return report


def _make_tables(
    source: SourceConfig, layout: Layout, rows: StagedSource, *, quiet: bool
) -> IngestReport:
    report = _judge(source, layout, rows)
    if not quiet:
        _log_findings(source.path, report)
    context = ingest_context(source, report).variables()
    with rows.rejected_alone():
        rejected = rows.engine.create_table(rows.con, "rejected_rows", **context)
    interactions = rows.engine.create_table(rows.con, "interactions", **context)
    if (report.lines_read, rejected) != (rows.found.rows, report.rejected):
        # The rest counts as duplicates, so the account would add up all the same.
        raise EngineError(
            f"{source.path}: {rows.found.rows:,} rows were read, {report.rejected:,} of them to be "
            f"rejected, and {report.lines_read:,} and {rejected:,} were written down: a task of "
            "the cluster wrote its rows twice, or some are lost; run again"
        )
    return IngestReport(
        source=report,
        lines_read=report.lines_read,
        interactions=interactions,
        rejected=rejected,
        duplicates=report.lines_read - interactions - rejected,
    )


def fingerprint(path: str) -> str:
    """Hash the content of a source without reading its rows.

    Args:
        path: A file or a glob, as :attr:`din_core.config.SourceConfig.path`.

    Returns:
        What :attr:`SourceReport.sha256` will be.

    Raises:
        SourceError: There is no such file, or it cannot be read.
    """
    return content_hash(find_files(path))


def ingest_context(source: SourceConfig, report: SourceReport) -> IngestContext:
    """Return what the templates of ``interactions`` and ``rejected_rows`` are rendered with.

    Args:
        source: The source's configuration.
        report: What :func:`stage` found.
    """
    context = _context(source, report.has_label, report.staged_integers)
    return dataclasses.replace(context, coding=report.summary.coding())


def _context(
    source: SourceConfig, labelled: bool, staged_integers: frozenset[str]
) -> IngestContext:
    return IngestContext(
        staged_integers=frozenset(map(sql_files.quote, staged_integers)),
        labelled=labelled,
        drop_duplicates=source.drop_duplicates,
        attributes=_columns(_attribute_cols(source)),
        dense=_columns(_dense_cols(source)),
    )


def _columns(names: Sequence[str]) -> tuple[SourceColumn, ...]:
    return tuple(SourceColumn(name=name, column=sql_files.quote(name)) for name in names)


def _attribute_cols(source: SourceConfig) -> tuple[str, ...]:
    numbers = source.number_columns()
    described = source.described_columns()
    return tuple(name for of, names in described.items() if of not in numbers for name in names)


def _dense_cols(source: SourceConfig) -> tuple[str, ...]:
    return tuple(name for names in source.number_columns().values() for name in names)


def _wanted_columns(source: SourceConfig) -> dict[str, tuple[str, str]]:
    """Map the name a column gets to its name in the source and the option that says so."""
    wanted = {
        "user_id": (source.user_col, "user_col"),
        "item_id": (source.item_col, "item_col"),
        "time": (source.time_col, "time_col"),
    }
    for option, names in source.described_columns().items():
        for name in names:
            number = option in source.number_columns()
            if is_reserved(name, number=number):
                kind = "a dense feature" if number else "an attribute"
                raise SourceError(
                    f"{option}: the column '{name}' cannot be {kind}: its name is taken by "
                    "another column of the tables; rename it in the file"
                )
            wanted[name] = (name, option)
    return wanted


def _distinct_labels(rows: StagedSource, context: IngestContext) -> list[str]:
    return [label for label, _ in rows.read("source_labels", context, most_labels=0)]


def _labels(rows: StagedSource, context: IngestContext) -> str:
    """The most frequent labels, as ``'5' (12 rows), '4' (9 rows)``."""
    found = rows.read("source_labels", context, most_labels=_SHOWN_LABELS + 1)
    counts = sorted(found, key=lambda label: (-label[1], label[0]))
    shown = [f"'{value[:40]}' ({n_rows} rows)" for value, n_rows in counts[:_SHOWN_LABELS]]
    return ", ".join(shown) + (", ..." if len(counts) > _SHOWN_LABELS else "")
