"""Scoring a Parquet file block by block: neither it nor the answer has to fit in memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from din_core.atomic_files import replacing
from din_core.errors import DinError, WrongRequestError
from din_core.serving.bundle.ids import from_arrow
from din_core.serving.bundle.rows import pair_columns
from din_core.serving.ranker import Ranker

SCORE = "score"

_parquet: Any = parquet  # pyarrow has no types
_ROWS_OF_A_BLOCK = 65_536


class UnwrittenScoresError(DinError, OSError):
    """The scores cannot be written; a file that was there before is still there."""


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
            Other columns are passed on. The score of a pair without a user or an item is NULL.
        out: The file to write; it is there when it is complete, and a former one until then.
        on_progress: Told how far it is, every few seconds.
        seconds_between: How many.

    Returns:
        Rows of the file.

    Raises:
        WrongRequestError: A file cannot be read or written, or a column is missing, of another
            type, or called ``score`` already. The file is left as it was.
        UnwrittenScoresError: The disk cannot take the scores, likewise.
    """
    if not rows.is_file():
        raise WrongRequestError(f"{rows}: no such file")
    try:
        file = _parquet.ParquetFile(rows)
    except pa.ArrowException as error:
        raise WrongRequestError(
            f"{rows}: it is no Parquet file; DuckDB makes one of CSV: copy (from 'rows.csv') to "
            "'rows.parquet'"
        ) from error
    except OSError as error:
        raise WrongRequestError(f"{rows} cannot be read: {error}") from error
    if not out.parent.is_dir():
        raise WrongRequestError(f"{out}: there is no folder {out.parent}")
    if (out.exists() and not out.is_file()) or not os.access(out.parent, os.W_OK):
        # A folder, or a device or pipe such as /dev/stdout: Parquet is put in place when it is
        # whole, and would replace it.
        raise WrongRequestError(f"{out}: no file can be written there")
    with file:
        schema = file.schema_arrow
        if SCORE in schema.names:
            raise WrongRequestError(f"{rows} has a column {SCORE!r} already; rename it")
        total, done = file.metadata.num_rows, 0
        started = told = time.monotonic()
        new = pa.field(SCORE, pa.float32())
        with (
            _explained(out),
            replacing(out) as temporary,
            _parquet.ParquetWriter(temporary, schema.append(new)) as writer,
        ):
            for block in _blocks(file, rows):
                try:
                    scores = _scores(ranker, block)
                except WrongRequestError as error:
                    part = "" if len(block) == total else f", from row {done:,} on"
                    raise WrongRequestError(f"{rows}{part}: {error}") from error
                writer.write_table(block.append_column(new, scores))
                done += len(block)
                now = time.monotonic()
                if now - told >= seconds_between and done < total:
                    told = now
                    left = (now - started) / done * (total - done)
                    on_progress(Progress(done, total, left))
    return total


@contextlib.contextmanager
def _explained(out: Path) -> Generator[None]:
    """Name the file that cannot be written, as on a full disk; what is read explains itself.

    pyarrow's errors name no file, and its writer fails once more when it is closed.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UnwrittenScoresError(f"{out}: not written: {reason}; what was there stays") from error


def _blocks(file: Any, rows: Path) -> Iterator[Any]:
    """Yield the rows so many at a time as are scored at once; all of none is one block."""
    batches = file.iter_batches(_ROWS_OF_A_BLOCK)
    n_blocks = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise WrongRequestError(f"{rows} is damaged: {error}") from error
        if batch is not None:
            yield pa.Table.from_batches([batch])
        elif n_blocks == 0:
            yield file.schema_arrow.empty_table()  # its columns are looked at, too
            return
        else:
            return
        n_blocks += 1


def _scores(ranker: Ranker, block: Any) -> Any:
    names = block.column_names
    if "target_item_id" in names or "hist_item_id" in names:
        return pa.array(ranker.score(block))
    if missing := [name for name in ("user_id", "item_id") if name not in names]:
        raise WrongRequestError(
            f"the rows have no column {missing[0]!r}; they are to have user_id and item_id, or "
            f"those of samples, and have {', '.join(names) or 'none'}"
        )
    pairs = pair_columns(block, ranker.bundle)
    has_user, has_item = (
        pairs[name].is_valid().to_numpy(zero_copy_only=False) for name in ("user_id", "item_id")
    )
    is_pair = has_user & has_item
    kept = {name: column.filter(pa.array(is_pair)) for name, column in pairs.items()}
    users, items = kept.pop("user_id"), kept.pop("item_id")
    scores = np.zeros(len(block), np.float32)
    scores[is_pair] = ranker.score_pairs(
        from_arrow(users, ranker.bundle.user_ids), from_arrow(items, ranker.bundle.item_ids), kept
    )
    return pa.array(scores, mask=~is_pair)
