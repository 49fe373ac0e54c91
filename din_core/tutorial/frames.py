"""From a data frame of interactions to data frames of samples, by the pipeline's SQL.

Shapes: N samples, L padded length of a history.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from din_core import sequences, sources, sql_files, warehouse
from din_core.config import SequenceConfig, SourceConfig

_log = logging.getLogger(__name__)

Samples = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def generate_seq_feature(
    data: pd.DataFrame,
    user_col: str,
    item_col: str,
    time_col: str,
    item_attribute_cols: Sequence[str] = (),
    min_item: int = 0,
    shuffle: bool = True,
    max_len: int = 50,
    *,
    seed: int = 2022,
) -> Samples:
    """Build behaviour sequences, negatives and the split into train, validation and test.

    Different from torch-rechub: ``data`` is not changed; a user with more than ``max_len``
    interactions keeps the *most recent* ones and has validation and test rows like any other;
    interactions at the same time keep their order in ``data``; negatives and order follow
    ``seed``; an item has one value of each attribute, the most frequent one.

    Args:
        data: One row per interaction; ids of any type, times as integer seconds or ISO 8601.
            Rows that cannot be used are left out, and a warning is logged.
        user_col: Column of the user id.
        item_col: Column of the item id.
        time_col: Column of the time.
        item_attribute_cols: Columns that describe the item.
        min_item: Users with fewer interactions are left out.
        shuffle: Shuffle the rows; otherwise they stand by user and position, positive first.
        max_len: L, most positions of a history.
        seed: Seed of the negatives and of the shuffle.

    Returns:
        ``train, val, test`` with the columns ``label, target_item_id``, the user column,
        ``hist_item_id``, and ``hist_<attribute>, target_<attribute>`` for each attribute. Ids are
        indices from 1; histories are int64 arrays ``[L]``, oldest first, 0 after the last.

    Raises:
        SourceError: A column is missing, or no row is usable.
        OptionsError: An option is out of range.
    """
    attributes = tuple(item_attribute_cols)
    source_columns = [user_col, item_col, time_col, *attributes]
    if missing := [column for column in source_columns if column not in data.columns]:
        raise sources.SourceError(
            f"the data frame has no column {missing[0]!r}, only {list(data.columns)}; correct "
            "user_col, item_col, time_col or item_attribute_cols"
        )
    options = SequenceConfig(max_history=max_len, min_interactions=min_item, seed=seed)
    with tempfile.TemporaryDirectory() as folder, warehouse.connect(":memory:") as con:
        source = SourceConfig(
            path=str(Path(folder) / "interactions.parquet"),
            user_col=user_col,
            item_col=item_col,
            time_col=time_col,
            item_attribute_cols=attributes,
            label_col="",  # the tutorial knows no labelled impressions
        )
        data[source_columns].to_parquet(source.path, index=False)
        with warehouse.transaction(con):
            report = sources.ingest(con, source)
        if report.rejected:
            _log.warning(
                "%d of %d rows were left out: %s",
                report.rejected,
                report.lines_read,
                "; ".join(f"{each.reason} ({each.rows})" for each in report.source.rejections),
            )
        sequences.build(con, source, options)
        columns = ["label", "target_item_id", "user_id", "hist_item_id"]
        for name in attributes:
            columns += [f"hist_{name}", f"target_{name}"]
        select = ", ".join(sql_files.quote(column) for column in columns)
        tables = [
            con.sql(
                f"select {select} from samples where split = ? "
                "order by user_id, position, label desc, target_item_id",
                params=[split],
            ).to_arrow_table()
            for split in ("train", "val", "test")
        ]
    random = np.random.default_rng(seed)
    train, val, test = (
        _frame(table, max_len, random if shuffle else None).rename(columns={"user_id": user_col})
        for table in tables
    )
    return train, val, test


def _frame(table: Any, length: int, random: np.random.Generator | None) -> pd.DataFrame:
    order = np.arange(table.num_rows) if random is None else random.permutation(table.num_rows)
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_list(column.type):
            columns[name] = list(_padded(column, length)[order])
        else:
            columns[name] = column.to_numpy(zero_copy_only=False).astype(np.int64)[order]
    return pd.DataFrame(columns)


def _padded(lists: Any, length: int) -> npt.NDArray[np.int64]:
    """Lists as rows of a rectangle, padded with 0 on the right."""
    lengths = np.diff(lists.offsets.to_numpy())
    padded = np.zeros((len(lists), length), dtype=np.int64)
    padded[np.arange(length) < lengths[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return padded


def vocabulary_sizes(*frames: pd.DataFrame) -> dict[str, int]:
    """Rows that each embedding table needs: the largest index of all frames, plus one.

    torch-rechub's tutorial reads them off its input, which its ``generate_seq_feature`` has
    overwritten with indices. Here the input is not touched and the answer is in the result: give
    it all three frames.

    Args:
        frames: What :func:`generate_seq_feature` returned.

    Returns:
        Column to size, ``label`` left out. A target and its history have one size.

    Raises:
        ValueError: No frame.
    """
    if not frames:
        raise ValueError("no data frame; pass train, val and test")
    largest: dict[str, int] = {}
    for frame in frames:
        for name, column in frame.items():
            if name == "label" or frame.empty:
                continue
            values = np.stack(column.tolist()) if column.dtype == object else column.to_numpy()
            largest[str(name)] = max(largest.get(str(name), 0), int(values.max(initial=0)))
    for name in list(largest):
        history = name.replace("target_", "hist_", 1)
        if name.startswith("target_") and history in largest:
            largest[name] = largest[history] = max(largest[name], largest[history])
    return {name: size + 1 for name, size in largest.items()}


def df_to_dict(data: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Turn a frame of samples into the arrays that the loaders and the model take.

    Args:
        data: Plain columns, and columns of equally long lists or arrays.

    Returns:
        Column to array ``[N]``, or ``[N, L]`` for lists.
    """
    return {
        str(name): np.array(column.tolist()) if column.dtype == object else column.to_numpy()
        for name, column in data.items()
    }


def pad_sequences(
    sequences: Sequence[Sequence[float]],
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float = 0.0,
) -> npt.NDArray[Any]:
    """Bring sequences to one length.

    Args:
        sequences: N sequences of numbers.
        maxlen: L; ``None`` takes the longest.
        dtype: Type of the result.
        padding: Where padding stands: before or after.
        truncating: Which end of a sequence that is too long is cut off.
        value: What padding is filled with.

    Returns:
        ``[N, L]``.

    Raises:
        ValueError: ``padding`` or ``truncating`` is neither ``pre`` nor ``post``.
    """
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f"{name} {chosen!r} is neither 'pre' nor 'post'")
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    padded = np.full((len(sequences), length), value, dtype=dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        kept = sequence[max(0, len(sequence) - length) :] if truncating == "pre" else sequence
        kept = kept[:length]
        start = length - len(kept) if padding == "pre" else 0
        row[start : start + len(kept)] = kept
    return padded
