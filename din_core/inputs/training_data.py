"""What the training loop reads of the pipeline's database: flat columns, nothing twice.

:func:`load` goes from the tables to NumPy through Arrow. A history is a slice of ``event_items``,
so memory grows with the events and not with their histories; attributes are looked up by item.
Shapes: E events, N samples of a split, U users, I items. No tensors here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

import duckdb
import numpy as np
import numpy.typing as npt

from din_core.config import NegativeSampling, SequenceConfig
from din_core.errors import DinError
from din_core.inputs import normalization
from din_core.network.vocabulary import Vocabulary
from din_core.store.sql_files import literal, quote
from din_core.tables import recorded_choices
from din_core.tables.attributes import Attribute

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32 | np.int64]
Float32 = npt.NDArray[np.float32]

#: Tables and views whose rows :func:`load` reads. Of `interactions` it asks only whether there is a
#: label, which is a fact and not a reason to train again for every row.
READS = (
    "users", "items", "attributes", "events", "user_sequences", "negatives", "sample_bounds",
    "column_roles",
)  # fmt: skip


class TrainingDataError(DinError, LookupError):
    """The database lacks what training reads; the message names it and says what to run."""


@dataclass(frozen=True)
class Samples:
    """The samples of one split, ordered by user, position and k.

    Attributes:
        user: Index of the user, int32 ``[N]``.
        position: Position of the positive in the user's sequence, int32 ``[N]``; of a logged
            negative, one more than the events before it.
        k: 0 for the positive, 1 … n for its negatives, int32 ``[N]``.
        label: 1 or 0, int8 ``[N]``.
        item: Index of the candidate, int32 ``[N]``.
        start: Row of ``event_items`` where the history begins, int32 ``[N]`` (int64 where there
            are 2**31 events or more).
        end: Row after its last event, likewise; equal to ``start`` for an empty history.
        context: Numbers that belong to the sample, float32 ``[N, C]``, NaN where one is missing;
            ``None`` where the log has no such column.
    """

    user: Int32
    position: Int32
    k: Int32
    label: npt.NDArray[np.int8]
    item: Int32
    start: Rows
    end: Rows
    context: Float32 | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.user)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Samples:
        """Some of the samples, in the order asked for."""
        return Samples(**{name: values[rows] for name, values in self.columns().items()})

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The fields that are there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: each for name, each in values.items() if each is not None}


@dataclass(frozen=True)
class TrainingData:
    """A log, ready for training.

    Attributes:
        vocabulary: How many ids there are of each kind, and by what numbers are measured.
        event_items: Item of each event, ordered by user and position, int32 ``[E]``.
        user_offsets: Events of user *u* are rows ``user_offsets[u - 1] … user_offsets[u] - 1``,
            int64 ``[U + 1]``.
        item_attributes: By index column (``cate_idx``), the index of each item's value, int32
            ``[I + 1]``; entry 0 is 0.
        user_attributes: By index column, the index of each user's value, int32 ``[U + 1]``.
        samples: By split.
        labelled: Whether the negatives are logged impressions, which nothing may redraw.
        negative_sampling: How the negatives of the table were drawn, where they were.
        negatives_per_positive: How many of them for each positive, likewise.
        item_dense: By column of numbers, that of each item, float32 ``[I + 1]``; NaN where it is
            missing, and in entry 0.
        user_dense: By column of numbers, that of each user, float32 ``[U + 1]``, likewise.
    """

    vocabulary: Vocabulary
    event_items: Int32
    user_offsets: Int64
    item_attributes: Mapping[str, Int32]
    user_attributes: Mapping[str, Int32]
    samples: Mapping[SplitName, Samples]
    labelled: bool = False
    negative_sampling: NegativeSampling = "uniform"
    negatives_per_positive: int = 1
    item_dense: Mapping[str, Float32] = field(default_factory=dict[str, Float32])
    user_dense: Mapping[str, Float32] = field(default_factory=dict[str, Float32])

    def fingerprint(self) -> str:
        """SHA-256 of everything in it: two equal ones train the same model."""
        negatives = (self.labelled, self.negative_sampling, self.negatives_per_positive)
        digest = hashlib.sha256(repr((self.vocabulary.to_dict(), negatives)).encode())
        for columns in (
            self.item_attributes,
            self.user_attributes,
            self.item_dense,
            self.user_dense,
        ):
            for name, values in columns.items():
                digest.update(name.encode() + b"\0")
                digest.update(np.ascontiguousarray(values).data)
        for split in SPLITS:
            for name, values in self.samples[split].columns().items():
                digest.update(f"{split}.{name}.{len(values)}\0".encode())
                digest.update(np.ascontiguousarray(values).data)
        digest.update(self.event_items.data)
        digest.update(self.user_offsets.data)
        return digest.hexdigest()


def row_type(n_rows: int) -> type[np.int32] | type[np.int64]:
    """The narrower integer type that counts so many rows."""
    return np.int32 if n_rows < 2**31 else np.int64


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
    n_users, n_items = _count(con, "users"), _count(con, "items")
    item_columns = _index_columns(con, "item")
    user_columns = _index_columns(con, "user")
    context_columns = _columns(con, "context", "dense")
    item_dense = _dense(con, "items", "item_idx", _columns(con, "item", "dense"), n_items)
    user_dense = _dense(con, "users", "user_idx", _columns(con, "user", "dense"), n_users)
    sizes = _attribute_sizes(con)
    n_events = np.zeros(n_users + 1, dtype=np.int64)
    select = "select user_idx, array_length(items) as n_events from user_sequences"
    for rows in _batches(con, select):
        n_events[rows["user_idx"]] = rows["n_events"]
    offsets = np.cumsum(n_events)
    samples = _samples(con, offsets, context_columns)
    train = samples["train"]
    return TrainingData(
        vocabulary=Vocabulary(
            n_users=n_users,
            n_items=n_items,
            item_attributes={name: sizes.get(name, 0) for name in item_columns},
            user_attributes={name: sizes.get(name, 0) for name in user_columns},
            item_dense=normalization.of_owners(item_dense, train.item),
            user_dense=normalization.of_owners(user_dense, train.user),
            context_dense=normalization.of_context(context_columns, train.context),
        ),
        event_items=_event_items(con, n_events, offsets),
        user_offsets=offsets,
        item_attributes=_attributes(con, "items", "item_idx", item_columns, n_items),
        user_attributes=_attributes(con, "users", "user_idx", user_columns, n_users),
        samples=samples,
        labelled=_is_labelled(con),
        negative_sampling=sequences.negative_sampling,
        negatives_per_positive=sequences.negatives_per_positive,
        item_dense=item_dense,
        user_dense=user_dense,
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
    for rows in _batches(con, "select user_idx, position, item_idx from events"):
        user, position = rows["user_idx"], rows["position"]
        if np.any(position > n_events[user]):
            raise different
        items[offsets[user - 1] + position - 1] = rows["item_idx"]
    return items


def _samples(
    con: duckdb.DuckDBPyConnection, offsets: Int64, context_columns: list[str]
) -> dict[SplitName, Samples]:
    """Read the samples of all splits in one pass."""
    # Counting the splits beforehand would be a pass of its own. What is not written to takes no
    # memory, only address space, and goes back at the end.
    most = _count(con, "events") + _count(con, "negatives")
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
    # Narrow before the sort: it carries what it is given.
    for rows in _batches(
        con,
        "select user_idx, position, k, cast(label as tinyint) as label, item_idx, history_start, "
        f"history_end, cast(case split {whens} end as tinyint) as split_number{numbers} "
        "from sample_bounds order by user_idx, position, k",
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
    con: duckdb.DuckDBPyConnection, table: str, index: str, names: list[str], size: int
) -> dict[str, Int32]:
    found: dict[str, Int32] = {}
    for name in names:
        found[name] = np.zeros(size + 1, dtype=np.int32)
        select = f"select {index} as owner, coalesce({quote(name)}, 0) as value from {table}"
        for rows in _batches(con, select):
            found[name][rows["owner"]] = rows["value"]
    return found


def _dense(
    con: duckdb.DuckDBPyConnection, table: str, index: str, names: list[str], size: int
) -> dict[str, Float32]:
    found: dict[str, Float32] = {}
    for name in names:
        found[name] = np.full(size + 1, np.nan, dtype=np.float32)
        select = f"select {index} as owner, {_number(name)} as value from {table}"
        for rows in _batches(con, select):
            found[name][rows["owner"]] = rows["value"]
    return found


def _number(name: str) -> str:
    """Write a column of numbers as the network takes it: 32 bits, NaN where one is missing."""
    return f"cast(coalesce({quote(name)}, cast('nan' as double)) as float)"


def _batches(con: duckdb.DuckDBPyConnection, select: str) -> Iterator[dict[str, npt.NDArray[Any]]]:
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
