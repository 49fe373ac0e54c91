"""From a data frame of interactions to data frames of samples, by the pipeline's SQL.

Shapes: N samples, L padded length of a history.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import re
import tempfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from din_core import sources, store
from din_core.config import OptionsError, SequenceConfig, SourceConfig, described_options
from din_core.store import sql_files
from din_core.tables import sequences
from din_core.tables.attributes import Attribute
from din_core.tutorial.columns import id_column, time_column

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger(__name__)

_SPLITS = ("train", "val", "test")

Samples = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def generate_seq_feature(
    data: pd.DataFrame,
    user_col: Hashable,
    item_col: Hashable,
    time_col: Hashable,
    item_attribute_cols: Hashable | Iterable[Hashable] = (),
    min_item: int = 0,
    shuffle: bool = True,
    max_len: int = 50,
    *,
    item_dense_cols: Hashable | Iterable[Hashable] = (),
    user_dense_cols: Hashable | Iterable[Hashable] = (),
    context_dense_cols: Hashable | Iterable[Hashable] = (),
    seed: int = 2022,
) -> Samples:
    """Build behaviour sequences, negatives and the split into train, validation and test.

    Different from torch-rechub: ``data`` is not changed; a user with more than ``max_len``
    interactions keeps the *most recent* ones and has validation and test rows like any other;
    interactions at the same time keep their order in ``data``; negatives and order follow
    ``seed``; an item has one value of each attribute, the most frequent one.

    Args:
        data: One row per interaction. Ids and attributes are of any type; ``1``, ``1.0`` and
            ``'1'`` are one id. Times are numbers of one unit, moments (without a zone in UTC) or
            text as in a log, and order the rows exactly. An attribute that is missing in a row
            (NaN, None) is what the item's other rows say, or else index 0. A row without user, item
            or usable time is left out, and a warning is logged.
        user_col: Column of the user id.
        item_col: Column of the item id.
        time_col: Column of the time.
        item_attribute_cols: Columns that describe the item; a string is one column.
        min_item: Users with fewer interactions are left out.
        shuffle: Shuffle the rows; otherwise they stand by user and position, positive first.
        max_len: L, most positions of a history.
        item_dense_cols: Columns of numbers that describe the item, such as a price: one number
            each, the most frequent one.
        user_dense_cols: Columns of numbers that describe the user, likewise.
        context_dense_cols: Columns of numbers that belong to the interaction, such as an hour; a
            negative has those of its positive.
        seed: Seed of the negatives and of the shuffle.

    Returns:
        ``train, val, test`` with the columns ``label, target_item_id``, the user column,
        ``hist_item_id``, and ``hist_<attribute>, target_<attribute>`` for each attribute. Ids are
        indices from 1; histories are int64 arrays ``[L]``, oldest first, 0 after the last. Numbers
        follow, as they are, NaN where one is missing: ``target_<column>`` for those of the item,
        those of user and interaction under their own names.

    Raises:
        TypeError: ``data`` is not a pandas data frame.
        SourceError: A column is missing, there twice or has a name that the result needs, no row is
            usable, or no user has interactions enough for a sample.
        OptionsError: ``min_item``, ``max_len`` or ``seed`` is out of range.
    """
    names = _names(item_attribute_cols)
    numbers = {
        "item_dense_cols": _names(item_dense_cols),
        "user_dense_cols": _names(user_dense_cols),
        "context_dense_cols": _names(context_dense_cols),
    }
    columns = {"user_col": user_col, "item_col": item_col, "time_col": time_col}
    described = [("item_attribute_cols", name) for name in names]
    described += [(option, name) for option, of in numbers.items() for name in of]
    _check_frame(data, [*columns.items(), *described])
    result_names = _result_names(user_col, names, numbers)
    options = SequenceConfig(
        min_interactions=_whole("min_item", min_item, "min_interactions"),
        max_history=_whole("max_len", max_len, "max_history"),
        sampling_seed=_whole("seed", seed, "sampling_seed"),
    )
    # Numbered, so that no name can clash with one of the tables' own columns.
    staged_names = [f"{name} ({number})" for number, (_, name) in enumerate(described, 1)]

    def staged_of(option: str) -> tuple[str, ...]:
        pairs = zip(staged_names, described, strict=True)
        return tuple(staged for staged, (of, _) in pairs if of == option)

    with (
        tempfile.TemporaryDirectory(prefix="data_frame_") as folder,
        store.connect(":memory:") as con,
    ):
        source = SourceConfig(
            path=str(Path(folder) / "data.parquet"),
            item_attribute_cols=staged_of("item_attribute_cols"),
            item_dense_cols=staged_of("item_dense_cols"),
            user_dense_cols=staged_of("user_dense_cols"),
            context_dense_cols=staged_of("context_dense_cols"),
        )
        staged = {
            "user_id": id_column(_column(data, user_col), f"user_col: column {user_col!r}"),
            "item_id": id_column(_column(data, item_col), f"item_col: column {item_col!r}"),
            "time": time_column(_column(data, time_col), f"time_col: column {time_col!r}"),
        }
        for staged_name, (option, name) in zip(staged_names, described, strict=True):
            # A number is staged as an id is: as a number, or as text for the source to read.
            staged[staged_name] = id_column(_column(data, name), f"{option}: column {name!r}")
        pq.write_table(pa.table(staged), source.path)
        names_of = {staged: name for staged, (_, name) in zip(staged_names, described, strict=True)}
        _ingest(con, source, columns, names_of)
        _require_samples(con, options.min_interactions)
        sequences.build(con, source, options)
        tables = _sample_tables(con, source)
    random = np.random.default_rng(seed) if shuffle else None
    train, val, test = (_frame(table, result_names, max_len, random) for table in tables)
    _warn_of_gaps(train, val, test)
    return train, val, test


def _names(given: Hashable | Iterable[Hashable]) -> list[Hashable]:
    """The columns that an option names; a string or a number names one."""
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def _check_frame(data: object, columns: Sequence[tuple[str, Hashable]]) -> None:
    """Refuse what is not a data frame, lacks a column, has it twice or is asked for it twice."""
    if not isinstance(data, pd.DataFrame):
        kind = type(data)
        way_out = "data.to_pandas()" if hasattr(data, "to_pandas") else "pandas.DataFrame(data)"
        raise TypeError(
            f"data is a {kind.__name__} of {kind.__module__.partition('.')[0]}, not a pandas data "
            f"frame; pass {way_out}"
        )
    if data.columns.nlevels > 1:
        raise sources.SourceError(
            f"data has columns of {data.columns.nlevels} levels, such as {data.columns[0]!r}; give "
            "each column one name first, as data.columns = ['_'.join(c) for c in data.columns]"
        )
    if data.empty:
        raise sources.SourceError(
            f"data has {len(data)} rows and {len(data.columns)} columns: there is no interaction"
        )
    there = list(data.columns)
    taken: dict[Hashable, str] = {}
    for argument, name in columns:
        if name not in there:
            shown = there if len(there) <= 20 else [*there[:20], "..."]
            raise sources.SourceError(
                f"{argument}: the data frame has no column {name!r}, only {shown}; correct "
                f"{argument}{_hint(columns, there)}"
            )
        if there.count(name) > 1:
            raise sources.SourceError(
                f"{argument}: the data frame has {there.count(name)} columns {name!r}; rename or "
                "drop all but one"
            )
        if name in taken:
            both = argument if taken[name] == argument else f"{taken[name]} and {argument}"
            raise sources.SourceError(
                f"{both}: column {name!r} is named twice; correct one of them"
            )
        taken[name] = argument


def _hint(columns: Sequence[tuple[str, Hashable]], there: Sequence[Hashable]) -> str:
    """Whether ``item_attribute_cols`` is one name that was taken apart, as by ``list('cate')``."""
    attributes = [name for argument, name in columns if argument == "item_attribute_cols"]
    together = "".join(map(str, attributes))
    return f": is [{together!r}] meant?" if len(attributes) > 1 and together in there else ""


def _column(data: pd.DataFrame, name: Hashable) -> pd.Series:
    return cast("pd.Series", data[name])  # a frame only where names repeat, which is refused


def _result_names(
    user_col: Hashable, attributes: Sequence[Hashable], numbers: Mapping[str, Sequence[Hashable]]
) -> list[Hashable]:
    """Columns of the result in their order, refusing two of one name."""
    named: list[tuple[str, Hashable, Hashable]] = [
        ("", "", "label"),
        ("", "", "target_item_id"),
        ("user_col", user_col, user_col),
        ("", "", "hist_item_id"),
    ]
    for name in attributes:
        named.append(("item_attribute_cols", name, f"hist_{name}"))
        named.append(("item_attribute_cols", name, f"target_{name}"))
    for option, names in numbers.items():
        for name in names:
            result = f"target_{name}" if option == "item_dense_cols" else name
            named.append((option, name, result))
    results = [str(result) for *_, result in named]
    for argument, name, result in named:
        if argument and results.count(str(result)) > 1:
            raise sources.SourceError(
                f"{argument}: column {name!r} would become the second column {result!r} of the "
                f"samples; rename it, as data.rename(columns={{{name!r}: 'another'}})"
            )
    return [result for *_, result in named]


def _whole(argument: str, value: Any, option: str) -> int:
    """An integer, also one of NumPy's, in the range of an option of :class:`SequenceConfig`."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            value = operator.index(value)
    if sentence := described_options(SequenceConfig)[option].refusal(value, called=argument):
        raise OptionsError(sentence)
    return value


def _ingest(
    con: duckdb.DuckDBPyConnection,
    source: SourceConfig,
    columns: Mapping[str, Hashable],
    names_of: Mapping[str, Hashable],
) -> None:
    """Make the table ``interactions``, and speak of the frame instead of the file behind it."""
    called = {"user_id": "user_col", "item_id": "item_col", "time": "time_col"}
    spoken = {f"'{name}'": f"{columns[argument]!r}" for name, argument in called.items()}
    spoken |= {f"'{staged}'": f"{name!r}" for staged, name in names_of.items()}
    spoken |= {source.path: "data", "data.parquet line": "row", "data.parquet: ": "data: "}
    # At once: a column of the frame may bear the name that another one is staged by.
    staged = re.compile("|".join(map(re.escape, spoken)))

    def of_the_frame(sentence: str) -> str:
        return staged.sub(lambda found: spoken[found[0]], sentence)

    try:
        with store.transaction(con):
            report = sources.ingest(con, source, quiet=True)
    except sources.SourceError as error:
        raise sources.SourceError(of_the_frame(str(error))) from error
    for note in report.source.notes:
        _log.warning("%s", of_the_frame(note))
    if report.rejected:
        _log.warning(
            "%d of %d rows were left out: %s; the columns are %s",
            report.rejected,
            report.lines_read,
            "; ".join(f"{each.reason} ({each.rows})" for each in report.source.rejections),
            ", ".join(f"{argument}={name!r}" for argument, name in columns.items()),
        )


def _require_samples(con: duckdb.DuckDBPyConnection, min_item: int) -> None:
    n_users, longest = con.execute(
        "select count(*), max(n_events) from "
        "(select count(*) as n_events from interactions group by user_id)"
    ).fetchall()[0]
    if longest < max(2, min_item):
        least = f"min_item={min_item}" if min_item > 2 else "the 2 that a sample needs"
        raise sources.SourceError(
            f"data gives no sample: it has {n_users} users, and the one with most interactions has "
            f"{longest}, fewer than {least}; is user_col the user, or is data a part of the log?"
        )


def _sample_tables(con: duckdb.DuckDBPyConnection, source: SourceConfig) -> list[Any]:
    columns = ["label", "target_item_idx", "user_idx", "hist_item_idx"]
    for name in source.item_attribute_cols:
        index = Attribute(name).index_name
        columns += [f"hist_{index}", f"target_{index}"]
    columns += [f"target_{name}" for name in source.item_dense_cols]
    columns += [*source.user_dense_cols, *source.context_dense_cols]
    select = ", ".join(sql_files.quote(column) for column in columns)
    return [
        con.sql(
            f"select {select} from encoded_samples where split = ? "
            "order by user_idx, position, label desc, target_item_idx",
            params=[split],
        ).to_arrow_table()
        for split in _SPLITS
    ]


def _frame(
    table: Any, names: Sequence[Hashable], length: int, random: np.random.Generator | None
) -> pd.DataFrame:
    order = np.arange(table.num_rows) if random is None else random.permutation(table.num_rows)
    columns: dict[Hashable, Any] = {}
    for name, chunks in zip(names, table.columns, strict=True):
        column = chunks.combine_chunks()
        if pa.types.is_list(column.type):
            columns[name] = list(_padded(column, length)[order])
        elif pa.types.is_floating(column.type):
            columns[name] = column.to_numpy(zero_copy_only=False)[order]  # NULL becomes NaN
        else:
            columns[name] = column.to_numpy(zero_copy_only=False).astype(np.int64)[order]
    return pd.DataFrame(columns)


def _padded(lists: Any, length: int) -> npt.NDArray[np.int64]:
    """Lists as rows of a rectangle, padded with 0 on the right."""
    lengths = np.diff(lists.offsets.to_numpy())
    padded = np.zeros((len(lists), length), dtype=np.int64)
    padded[np.arange(length) < lengths[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return padded


def _warn_of_gaps(*frames: pd.DataFrame) -> None:
    """Say which split is empty, and which positives have no negative beside them."""
    for name, frame in zip(_SPLITS, frames, strict=True):
        if frame.empty:
            _log.warning(
                "%s is empty: a user's last interaction is for test, the one before for val, "
                "those between them and the first for train, and no user has enough",
                name,
            )
    labels = np.concatenate([frame["label"].to_numpy() for frame in frames])
    alone = 2 * np.count_nonzero(labels) - len(labels)
    if alone:
        _log.warning("%d positives have no negative: their users interacted with every item", alone)
