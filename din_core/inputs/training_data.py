"""What the training loop reads of the pipeline's database: from the tables to flat columns.

:func:`load` goes to NumPy through Arrow; what comes out is described in :mod:`flat_log`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt

from din_core.config import SequenceConfig
from din_core.errors import DinError
from din_core.inputs.flat_log import (
    SPLITS,
    Float32,
    Int32,
    Int64,
    Samples,
    SplitName,
    TrainingData,
    row_type,
)
from din_core.inputs.normalization import LogMoments
from din_core.network.features import Normalization
from din_core.network.vocabulary import Vocabulary
from din_core.store.sql_files import literal, quote
from din_core.tables import recorded_choices
from din_core.tables.attributes import Attribute

#: Tables and views whose rows :func:`load` reads. Of `interactions` it asks only whether there is a
#: label, which is a fact and not a reason to train again for every row.
READS = (
    "users", "items", "attributes", "events", "user_sequences", "negatives", "sample_bounds",
    "column_roles",
)  # fmt: skip


class TrainingDataError(DinError, LookupError):
    """The database lacks what training reads; the message names it and says what to run."""


def load(con: duckdb.DuckDBPyConnection, sequences: SequenceConfig | None = None) -> TrainingData:
    """Read a log from the pipeline's tables.

    Args:
        con: Connection with what :data:`READS` names.
        sequences: How the samples were made; by default what was recorded, and where nothing was,
            as outside the pipeline, the defaults. Training redraws negatives as it says.

    Returns:
        The log; its attributes and numbers are those of ``column_roles``.

    Raises:
        TrainingDataError: One of the tables is missing.
    """
    try:
        return _load(con, sequences or recorded_choices.sampling_config(con))
    except duckdb.CatalogException as error:
        first_line = str(error).splitlines()[0]
        raise TrainingDataError(
            f"training reads tables that are not all there ({first_line}); materialize the assets "
            "up to samples first"
        ) from error


def _load(con: duckdb.DuckDBPyConnection, sequences: SequenceConfig) -> TrainingData:
    data = load_users(con, load_catalogue(con), sequences)
    return dataclasses.replace(data, vocabulary=moments(data).put_into(data.vocabulary))


def moments(data: TrainingData) -> LogMoments:
    """Measure the numbers of a log on its training samples."""
    names = data.vocabulary.context_dense
    return LogMoments.of(data.samples["train"], data.item_dense, data.user_dense, names)


@dataclass(frozen=True)
class Catalogue:
    """What is known of the items, and which columns describe whom.

    Attributes:
        vocabulary: How many ids there are; by what numbers are measured is not known yet.
        item_attributes: As of :class:`din_core.inputs.flat_log.TrainingData`.
        item_dense: Likewise.
    """

    vocabulary: Vocabulary
    item_attributes: Mapping[str, Int32]
    item_dense: Mapping[str, Float32]


def load_catalogue(con: duckdb.DuckDBPyConnection, n_users: int | None = None) -> Catalogue:
    """Read what is known of the items.

    Args:
        con: Connection with ``items``, ``attributes`` and ``column_roles``.
        n_users: As of :func:`load_sizes`.
    """
    vocabulary = load_sizes(con, n_users)
    of_items = ("items", "item_idx")
    return Catalogue(
        vocabulary,
        item_attributes=_attributes(con, *of_items, vocabulary.item_attributes, vocabulary.n_items),
        item_dense=_dense(con, *of_items, vocabulary.item_dense, vocabulary.n_items),
    )


def load_sizes(con: duckdb.DuckDBPyConnection, n_users: int | None = None) -> Vocabulary:
    """Count ids, and name the columns of numbers; by what those are measured is not known yet.

    Args:
        con: As of :func:`load_catalogue`.
        n_users: How many users there are; by default the rows of ``users``.
    """
    n_items = _count(con, "items")
    sizes = _attribute_sizes(con)
    item_columns, user_columns = _index_columns(con, "item"), _index_columns(con, "user")
    return Vocabulary(
        n_users=_count(con, "users") if n_users is None else n_users,
        n_items=n_items,
        item_attributes={name: sizes.get(name, 0) for name in item_columns},
        user_attributes={name: sizes.get(name, 0) for name in user_columns},
        **{
            f"{role}_dense": dict.fromkeys(_columns(con, role, "dense"), Normalization())
            for role in ("item", "user", "context")
        },
    )


def load_users(
    con: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    sequences: SequenceConfig,
    splits: Collection[SplitName] = SPLITS,
    *,
    positives_only: bool = False,
) -> TrainingData:
    """Read the users of a log, or a share of them.

    Args:
        con: Connection with what else :data:`READS` names, its users counted from 1.
        catalogue: From :func:`load_catalogue`.
        sequences: How the samples were made.
        splits: Those whose samples are read; the others have none.
        positives_only: Read no negatives, of a log whose negatives training draws itself.

    Returns:
        The log, its numbers not measured.
    """
    n_users, vocabulary = _count(con, "users"), catalogue.vocabulary
    n_events = np.zeros(n_users + 1, dtype=np.int64)
    select = "select user_idx, array_length(items) as n_events from user_sequences"
    for rows in arrow_batches(con, select):
        n_events[rows["user_idx"]] = rows["n_events"]
    offsets = np.cumsum(n_events)
    of_users = ("users", "user_idx")
    return TrainingData(
        vocabulary=vocabulary,
        event_items=_event_items(con, n_events, offsets),
        user_offsets=offsets,
        item_attributes=catalogue.item_attributes,
        user_attributes=_attributes(con, *of_users, vocabulary.user_attributes, n_users),
        samples=_samples(
            con, offsets, list(vocabulary.context_dense), splits, positives_only=positives_only
        ),
        labelled=_is_labelled(con),
        negative_sampling=sequences.negative_sampling,
        negatives_per_positive=sequences.negatives_per_positive,
        item_dense=catalogue.item_dense,
        user_dense=_dense(con, *of_users, vocabulary.user_dense, n_users),
    )


def recorded_negatives(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return how the table ``negatives`` came about, as :func:`load` takes it, by field.

    Args:
        con: Connection with the table ``interactions``.
    """
    sequences = recorded_choices.sampling_config(con)
    return {
        "labelled": _is_labelled(con),
        "negative_sampling": sequences.negative_sampling,
        "negatives_per_positive": sequences.negatives_per_positive,
    }


def _is_labelled(con: duckdb.DuckDBPyConnection) -> bool:
    return "label" in _described(con, "interactions")


def _event_items(con: duckdb.DuckDBPyConnection, n_events: Int64, offsets: Int64) -> Int32:
    """Put the item of each event in its place; positions count from 1."""
    different = TrainingDataError(
        "'events' and 'user_sequences' do not hold the same events: one of them was made again "
        "without the other; materialize both, or run `din run`"
    )
    items = np.zeros(int(offsets[-1]), dtype=np.int32)
    if _count(con, "events") != len(items):
        raise different
    for rows in arrow_batches(con, "select user_idx, position, item_idx from events"):
        user, position = rows["user_idx"], rows["position"]
        if np.any(position > n_events[user]):
            raise different
        items[offsets[user - 1] + position - 1] = rows["item_idx"]
    return items


def _samples(
    con: duckdb.DuckDBPyConnection,
    offsets: Int64,
    context_columns: list[str],
    splits: Collection[SplitName],
    *,
    positives_only: bool,
) -> dict[SplitName, Samples]:
    """Read the samples of some splits in one pass; the others stay empty."""
    # Counting the splits beforehand would be a pass of its own. What is not written to takes no
    # memory, only address space, and goes back at the end.
    most = _count(con, "events") + (0 if positives_only else _count(con, "negatives"))
    rows_type = row_type(int(offsets[-1]))
    n_numbers = len(context_columns)
    numbers = "".join(f", {_number(name)} as {quote(name)}" for name in context_columns)
    samples: dict[SplitName, Samples] = {
        split: Samples(
            user=np.empty(most, np.int32),
            position=np.empty(most, np.int32),
            k=np.empty(most, np.int32),
            label=np.empty(most, np.int8),
            item=np.empty(most, np.int32),
            start=np.empty(most, rows_type),
            end=np.empty(most, rows_type),
            context=np.empty((most, n_numbers), np.float32) if n_numbers else None,
        )
        for split in SPLITS
    }
    filled = dict.fromkeys(SPLITS, 0)
    whens = " ".join(f"when {literal(split)} then {n}" for n, split in enumerate(SPLITS))
    wanted = ["label = 1"] if positives_only else []
    if set(splits) != set(SPLITS):
        wanted.append(f"split in ({', '.join(map(literal, splits))})")
    where = f" where {' and '.join(wanted)}" if wanted else ""
    # Narrow before the sort: it carries what it is given.
    for rows in arrow_batches(
        con,
        "select user_idx, position, k, cast(label as tinyint) as label, item_idx, history_start, "
        f"history_end, cast(case split {whens} end as tinyint) as split_number{numbers} "
        f"from sample_bounds{where} order by user_idx, position, k",
    ):
        first_row = offsets[rows["user_idx"] - 1]
        columns = {
            "user": rows["user_idx"],
            "position": rows["position"],
            "k": rows["k"],
            "label": rows["label"],
            "item": rows["item_idx"],
            # Positions count from 1, and the history holds the event at its end.
            "start": first_row + (rows["history_start"] - 1),
            "end": first_row + rows["history_end"],
        }
        if n_numbers:
            columns["context"] = np.column_stack([rows[name] for name in context_columns])
        for number, split in enumerate(SPLITS):
            chosen = np.flatnonzero(rows["split_number"] == number)
            place = slice(filled[split], filled[split] + len(chosen))
            filled[split] = place.stop
            for name, values in columns.items():
                getattr(samples[split], name)[place] = values[chosen]
    for split in SPLITS:
        for values in samples[split].columns().values():
            values.resize((filled[split], *values.shape[1:]), refcheck=False)
    return samples


def _columns(con: duckdb.DuckDBPyConnection, role: str, kind: str) -> list[str]:
    """Columns of the source that were declared to be of a role and a kind, in their order."""
    select = "select name from column_roles where role = ? and kind = ? order by place"
    return [name for (name,) in con.execute(select, [role, kind]).fetchall()]


def _index_columns(con: duckdb.DuckDBPyConnection, role: str) -> list[str]:
    return [Attribute(name).index_name for name in _columns(con, role, "sparse")]


def _attribute_sizes(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many values an attribute has, by index column; one without any is absent."""
    rows = con.execute("select attribute, count(*) from attributes group by attribute").fetchall()
    return {Attribute(name).index_name: int(size) for name, size in rows}


def _attributes(
    con: duckdb.DuckDBPyConnection, table: str, index: str, names: Iterable[str], size: int
) -> dict[str, Int32]:
    found: dict[str, Int32] = {}
    for name in names:
        found[name] = np.zeros(size + 1, dtype=np.int32)
        select = f"select {index} as owner, coalesce({quote(name)}, 0) as value from {table}"
        for rows in arrow_batches(con, select):
            found[name][rows["owner"]] = rows["value"]
    return found


def _dense(
    con: duckdb.DuckDBPyConnection, table: str, index: str, names: Iterable[str], size: int
) -> dict[str, Float32]:
    found: dict[str, Float32] = {}
    for name in names:
        found[name] = np.full(size + 1, np.nan, dtype=np.float32)
        select = f"select {index} as owner, {_number(name)} as value from {table}"
        for rows in arrow_batches(con, select):
            found[name][rows["owner"]] = rows["value"]
    return found


def _number(name: str) -> str:
    """Write a column of numbers as the network takes it: 32 bits, NaN where one is missing."""
    return f"cast(coalesce({quote(name)}, cast('nan' as double)) as float)"


def arrow_batches(
    con: duckdb.DuckDBPyConnection, select: str
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Run a query and yield its columns, numbers without NULL, in batches and without a copy."""
    reader: Any = con.sql(select).to_arrow_reader(1 << 18)  # pyarrow has no types
    for batch in reader:
        # Not to_numpy(), which imports pandas.
        yield {name: np.from_dlpack(batch.column(name)) for name in batch.schema.names}


def _described(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in con.execute(f"describe {quote(table)}").fetchall()]


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return _one(con, f"select count(*) from {quote(table)}")


def _one(con: duckdb.DuckDBPyConnection, select: str) -> int:
    return cast("int", con.execute(select).fetchall()[0][0])
