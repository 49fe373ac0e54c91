"""From interactions to samples: which SQL files, in which order, with which options.

The work is done by ``sql/sequences``. Here a configuration becomes what its templates are rendered
with, and :func:`build` makes what training takes, one after the other, for scripts and benchmarks;
the asset layer makes asset by asset.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from din_core import store
from din_core.config import (
    OptionsError,
    RedrawnSampling,
    SequenceConfig,
    SourceConfig,
    validate,
)
from din_core.engines.engine import DUCKDB, Engine
from din_core.tables import heavy_users, known_ids, popular_items, split_moments, unused_options
from din_core.tables.attributes import Attribute, DenseColumn
from din_core.tables.column_names import refuse_clashing_names
from din_core.tables.lineage import Head, SqlFile, head_of, lineage
from din_core.tables.template_context import TemplateContext

_log = logging.getLogger(__name__)


def tables() -> tuple[str, ...]:
    """Return the assets of ``sql/sequences`` before ``samples``, each after those that it reads.

    Each is a table, but for ``cates``, which is a view. What ``samples`` holds says
    :func:`samples_relations`.
    """
    return _ordered(lambda head: head.assets == (head.name,) != ("samples",))


def samples_relations() -> tuple[str, ...]:
    """Return what the asset ``samples`` holds, likewise: views, and a table of sequences in ids."""
    return _ordered(lambda head: head.kind in ("table", "view") and head.assets == ("samples",))


def views() -> tuple[str, ...]:
    """Return the views among both."""
    files = lineage().files
    return tuple(n for n in (*tables(), *samples_relations()) if files[n].head.kind == "view")


def figures_of(name: str) -> tuple[str, ...]:
    """Return the files that count what a table leaves out; each gives one number."""
    files = lineage().files_of(name)
    return tuple(file.head.name for file in files if file.head.kind == "figure")


def _ordered(wanted: Callable[[Head], bool]) -> tuple[str, ...]:
    every = lineage()
    return every.in_order(
        name
        for name, file in every.files.items()
        if file.paths[0].parent.name == "sequences" and wanted(file.head)
    )


# What training takes of the samples. All else that the asset `samples` holds is for people.
_ENCODED = ("encoded_samples", "sample_bounds", "column_roles")


def template_context(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    sequences: SequenceConfig,
    *,
    for_table: str | None = None,
    engine: Engine = DUCKDB,
) -> TemplateContext:
    """Turn a configuration into what the templates are rendered with.

    Args:
        con: Connection with the table ``interactions``: whether it is labelled is read off its
            columns, and quantiles of a temporal split are resolved to seconds on its rows.
        source: Where the interactions came from.
        sequences: How events become samples.
        for_table: The one of :func:`tables` that is to be built, or ``samples``. What only others
            ask for and takes a pass over the rows is left out then: whether the log has several
            files, and the moments of a temporal split.
        engine: What the quantiles are asked of.

    Returns:
        The variables of every file of ``sql/sequences``, ``sql/analytics`` and ``sql/checks``; for
        the file itself see :func:`negatives_variant`.

    Raises:
        OptionsError: A field is out of range or in another unit, or two columns would get one name.
    """
    validate(source)
    validate(sequences)
    types = {row[0]: row[1] for row in con.execute("describe interactions").fetchall()}
    item_attributes = _attributes(source.item_attribute_cols, types)
    user_attributes = _attributes(source.user_attribute_cols, types)
    context = TemplateContext(
        item_attributes=item_attributes,
        user_attributes=user_attributes,
        item_dense=tuple(map(DenseColumn, source.item_dense_cols)),
        user_dense=tuple(map(DenseColumn, source.user_dense_cols)),
        context_dense=tuple(map(DenseColumn, source.context_dense_cols)),
        labelled="label" in types,
        max_history=sequences.max_history,
        min_interactions=sequences.min_interactions,
        negatives_per_positive=sequences.negatives_per_positive,
        negative_sampling=sequences.negative_sampling,
        sampling_seed=sequences.sampling_seed,
        split=sequences.split,
        user_ids=_attributes(["user_id"], types)[0],
        item_ids=_attributes(["item_id"], types)[0],
    )
    refuse_clashing_names(source)
    for option, names in source.described_columns().items():
        if missing := [name for name in names if name not in types]:
            raise OptionsError(
                f"interactions has no column {missing[0]!r}, only {sorted(types)}: correct "
                f"{option}, or build interactions again"
            )
    if for_table in (None, "negatives"):
        allowed = _negatives_file(context)[1].allows
        context = dataclasses.replace(context, negatives_allow=allowed)
    if for_table in (None, "events"):
        context = dataclasses.replace(context, several_files=_has_several_files(con))
    if for_table in (None, "samples") and sequences.split == "temporal":
        val_from, test_from = split_moments.resolve(con, context, sequences, engine)
        context = dataclasses.replace(context, val_from=val_from, test_from=test_from)
    return context


def negatives_variant(context: TemplateContext, *, called: str = "negative_sampling") -> str:
    """Choose the file of the table ``negatives``: ``negatives.<variant>.sql``.

    Args:
        context: From :func:`template_context`.
        called: The option that names the sampler.

    Returns:
        ``logged`` for a labelled log, else the sampler ``negative_sampling``.

    Raises:
        OptionsError: There is no such sampler, or it needs an attribute that the log lacks.
    """
    variant, head = _negatives_file(context)
    if lacking := [need for need in head.needs if not getattr(context, need)]:
        raise OptionsError(
            f"{called} is {variant!r}, but {lacking[0].removesuffix('s')}_cols is empty: "
            "name the columns there, the first of which it goes by, or sample 'uniform'"
        )
    return variant


def refuse_unfit(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    sequences: SequenceConfig,
    redrawn_sampling: RedrawnSampling = "as_table",
) -> None:
    """Refuse options that do not go with a log, before anything is built from it.

    Args:
        con: Connection with the table ``interactions``.
        source: Where the interactions came from.
        sequences: How events are to become samples.
        redrawn_sampling: How training is to redraw negatives.

    Raises:
        OptionsError: As :func:`build`, or the sampler needs an attribute that the log lacks.
    """
    context = template_context(con, source, sequences, for_table="negatives")
    unused_options.refuse("negatives", context, sequences)
    negatives_variant(context)
    if redrawn_sampling != "as_table" and not context.labelled:
        redrawn = dataclasses.replace(context, negative_sampling=redrawn_sampling)
        negatives_variant(redrawn, called="redrawn_sampling")
    split_moments.refuse_other_units(con, sequences)


def _negatives_file(context: TemplateContext) -> tuple[str, Head]:
    """Find the file of the table ``negatives``, and read its head."""
    files = {path.stem.partition(".")[2]: path for path in lineage().files["negatives"].paths}
    variant = "logged" if context.labelled else context.negative_sampling
    if variant not in files or (variant == "logged" and not context.labelled):
        samplers = ", ".join(sorted(files.keys() - {"logged"}))
        raise OptionsError(f"negative_sampling is {variant!r}, must be one of {samplers}")
    return variant, head_of(files[variant])


def build(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    sequences: SequenceConfig,
    *,
    in_ids: bool = False,
    grows: bool = False,
    on_table: Callable[[str, int], None] | None = None,
) -> dict[str, int]:
    """Build what training takes from the table ``interactions``: :func:`tables`, and the samples.

    Args:
        con: Connection with the table ``interactions``.
        source: Where the interactions came from.
        sequences: How events become samples.
        in_ids: Whether to make ``samples`` as well, the samples in ids, for people to read. It
            takes a fifth of the time.
        grows: Whether ids keep the indices that an earlier call on this connection gave them. By
            default they are numbered anew.
        on_table: Called with name and rows as soon as a table is there.

    Returns:
        Rows of each of the tables, in the order they were built. The views ``encoded_samples`` and
        ``sample_bounds`` are made as well, without being counted.

    Raises:
        OptionsError: As :func:`template_context`.
    """
    rows: dict[str, int] = {}
    files = lineage().files  # once for all tables: it looks for changes of each file
    if not grows:
        known_ids.forget(con)
    for table in tables():
        with store.transaction(con):
            for sentence in restarts(con, table, source, sequences):
                _log.warning("%s: %s", table, sentence)
            context, made = _build(con, table, (table,), source, sequences, files=files)
            for sentence in unused_options.sentences(table, context, sequences):
                _log.warning("%s: %s", table, sentence)
        rows[table] = made[table] if table in made else store.row_count(con, table)
        if on_table:
            on_table(table, rows[table])
    with store.transaction(con):
        relations = samples_relations() if in_ids else _ENCODED
        _build(con, "samples", relations, source, sequences, files=files)
    return rows


def build_table(
    con: duckdb.DuckDBPyConnection,
    name: str,
    source: SourceConfig,
    sequences: SequenceConfig,
    engine: Engine = DUCKDB,
) -> TemplateContext:
    """Build one asset of ``sql/sequences`` from those before it, in the caller's transaction.

    What there is to warn of say :func:`restarts` before it and ``unused_options.sentences`` after
    it: each caller has a log of its own.

    Args:
        con: Connection with the tables before it.
        name: One of :func:`tables`, or ``samples``, which makes all of :func:`samples_relations`.
        source: Where the interactions came from.
        sequences: How events become samples.
        engine: What makes it.

    Returns:
        What the templates were rendered with, which the checks of ``sql/checks`` take as well.

    Raises:
        OptionsError: As :func:`template_context`, or sampling is asked for in a labelled log.
        EngineError: A user has more events than the engine takes.
    """
    relations = samples_relations() if name == "samples" else (name,)
    context, _ = _build(
        con, name, relations, source, sequences, files=lineage().files, engine=engine
    )
    return context


def restarts(
    con: duckdb.DuckDBPyConnection, name: str, source: SourceConfig, sequences: SequenceConfig
) -> tuple[str, ...]:
    """Say which vocabularies :func:`build_table` will number anew, and why; call it before.

    Args:
        con: As of :func:`build_table`.
        name: As of :func:`build_table`; only ``known_ids`` numbers anything.
        source: As of :func:`build_table`.
        sequences: As of :func:`build_table`.
    """
    if name != known_ids.TABLE:
        return ()
    return known_ids.restarts(con, template_context(con, source, sequences, for_table=name))


def _build(
    con: duckdb.DuckDBPyConnection,
    asset: str,
    relations: Sequence[str],
    source: SourceConfig,
    sequences: SequenceConfig,
    *,
    files: Mapping[str, SqlFile],
    engine: Engine = DUCKDB,
) -> tuple[TemplateContext, dict[str, int]]:
    """Build relations of an asset; return what they were rendered with and the rows of tables."""
    context = template_context(con, source, sequences, for_table=asset, engine=engine)
    unused_options.refuse(asset, context, sequences)
    if asset == known_ids.TABLE:
        with known_ids.handed_in(con, context) as beside:
            engine.hand_over(con, known_ids.KEPT)
            variables: dict[str, Any] = {**context.variables(), **beside}
            rows = {asset: engine.create_table(con, asset, **variables)}
        return context, rows
    if asset in ("user_sequences", "samples"):
        heavy_users.refuse(con, engine, context)
    rows: dict[str, int] = {}
    for name in relations:
        variant = negatives_variant(context) if name == "negatives" else None
        if variant == "popularity":
            popular_items.refuse(con, engine, context)
        if files[name].head.kind == "view":
            engine.create_view(con, name, variant=variant, **context.variables())
        else:
            rows[name] = engine.create_table(con, name, variant=variant, **context.variables())
    return context, rows


def figures(
    con: duckdb.DuckDBPyConnection, name: str, context: TemplateContext, engine: Engine = DUCKDB
) -> dict[str, int]:
    """Count what a table leaves out, so that nothing is lost silently.

    Args:
        con: Connection with the table and those before it.
        name: One of :func:`tables`, or ``samples``.
        context: From :func:`build_table` of that table.
        engine: What counts.

    Returns:
        Figure to number: ``users_left_out`` (users of the log below ``min_interactions``) of
        ``users``, ``users_without_samples`` (known users without any history) of ``samples``;
        none of other tables.
    """
    variables = context.variables()
    return {
        figure: int(engine.query(con, engine.render(figure, **variables)).rows[0][0])
        for figure in figures_of(name)
    }


def _attributes(names: Sequence[str], types: Mapping[str, str]) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, types.get(name) in ("BIGINT", "INTEGER")) for name in names)


def _has_several_files(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether `file` decides anything; as a sort key, text costs as much as all others do."""
    first, last = con.execute("select min(file), max(file) from interactions").fetchall()[0]
    return first != last
