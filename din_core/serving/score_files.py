"""Scoring a Parquet file block by block: neither it nor the answer has to fit in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from din_core.atomic_files import replacing
from din_core.errors import WrongRequestError
from din_core.serving.ranker import Ranker

SCORE = "score"

_parquet: Any = parquet  # pyarrow has no types
_ROWS_OF_A_BLOCK = 65_536


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        done: Rows that are scored.
        total: Rows of the file.
        seconds_left: What the rest will take, if it goes on as so far.
    """

    done: int
    total: int
    seconds_left: float


def score(
    ranker: Ranker,
    rows: Path,
    out: Path,
    *,
    on_progress: Callable[[Progress], object] = lambda _: None,
    seconds_between: float = 2.0,
) -> int:
    """Write the rows of a file with a further column ``score``, float32.

    Args:
        ranker: What scores.
        rows: Parquet file: pairs of ``user_id`` and ``item_id``, or rows of ``samples``, which have
            ``target_item_id`` and ``hist_item_id``; numbers of the context where the model takes
            some (of pairs, one without a column is missing). Numbers of the log that are no columns
            are counted: of rows as :meth:`Ranker.score` does, of pairs for the end of the log.
            Other columns are passed on.
        out: The file to write; it is there when it is complete, and a former one until then.
        on_progress: Told how far it is, every few seconds.
        seconds_between: How many.

    Returns:
        Rows of the file.

    Raises:
        WrongRequestError: A file cannot be read or written, or a column is missing, of another
            type, or called ``score`` already.
    """
    if not rows.is_file():
        raise WrongRequestError(f"{rows}: no such file")
    try:
        file = _parquet.ParquetFile(rows)
    except pa.ArrowException as error:
        raise WrongRequestError(f"{rows}: it is no Parquet file") from error
    except OSError as error:
        raise WrongRequestError(f"{rows} cannot be read: {error}") from error
    if not out.parent.is_dir():
        raise WrongRequestError(f"{out}: there is no folder {out.parent}")
    if out.is_dir() or not os.access(out.parent, os.W_OK):
        raise WrongRequestError(f"{out}: no file can be written there")
    with file:
        schema = file.schema_arrow
        if SCORE in schema.names:
            raise WrongRequestError(f"{rows} has a column {SCORE!r} already; rename it")
        total, done = file.metadata.num_rows, 0
        started = told = time.monotonic()
        new = pa.field(SCORE, pa.float32())
        with (
            replacing(out) as temporary,
            _parquet.ParquetWriter(temporary, schema.append(new)) as writer,
        ):
            for batch in file.iter_batches(_ROWS_OF_A_BLOCK):
                block = pa.Table.from_batches([batch])
                writer.write_table(block.append_column(new, pa.array(_scores(ranker, block))))
                done += len(block)
                now = time.monotonic()
                if now - told >= seconds_between and done < total:
                    told = now
                    left = (now - started) / done * (total - done)
                    on_progress(Progress(done, total, left))
    return total


def _scores(ranker: Ranker, block: Any) -> Any:
    names = block.column_names
    if "target_item_id" in names or "hist_item_id" in names:
        return ranker.score(block)
    if missing := [name for name in ("user_id", "item_id") if name not in names]:
        raise WrongRequestError(
            f"the rows have no column {missing[0]!r}; they are to have user_id and item_id, or "
            f"those of samples, and have {', '.join(names) or 'none'}"
        )
    context = {name: block[name] for name in ranker.bundle.context if name in names}
    return ranker.score_pairs(block["user_id"], block["item_id"], context)
