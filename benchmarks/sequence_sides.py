"""The sides of the sequence cases: from a CSV to arrays that a training loop can take.

Each function runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.clock import Clock
_LOAD_MEMORY_LIMIT = "2GB"


def ours_sequences(
    clock: Clock, csv: str, folder: str, threads: int, memory_limit: str | None = None
) -> dict[str, Any]:
    """Ingest, build every table, load the arrays; the database is a fresh file in ``folder``."""
    import resource
    import time

    from din_core import sources, store
    from din_core.config import SequenceConfig, SourceConfig
    from din_core.inputs import training_data
    from din_core.tables import sequences

    clock.start()
    source = SourceConfig(path=csv)
    marks = [("start", time.perf_counter())]

    def mark(name: str, _rows: int = 0) -> None:
        marks.append((name, time.perf_counter()))

    database = Path(folder, "pipeline.duckdb")
    with store.connect(database, threads=threads, memory_limit=memory_limit) as con:
        with store.transaction(con):
            account = sources.ingest(con, source)
        mark("interactions")
        sequences.build(con, source, SequenceConfig(), on_table=mark)
        if memory_limit is not None:
            # As in a process that only trains: the arrays need the room that the build had.
            con.execute(f"set memory_limit = '{_LOAD_MEMORY_LIMIT}'")
        data = training_data.load(con)
        mark("load")
        # Spilled blocks live as long as the connection, so this is close to the most there was.
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    clock.stop()
    stages = {
        name: round(after - before, 4) for (_, before), (name, after) in itertools.pairwise(marks)
    }
    return {
        "rows": account.lines_read,
        "samples": sum(len(samples) for samples in data.samples.values()),
        "stages": stages,
        "disk_mb": disk / 2**20,
        "peak_before_exit_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def theirs_sequences(clock: Clock, csv: str, save_to: str | None = None) -> dict[str, Any]:
    """torch-rechub's tutorial: ``generate_seq_feature``, then ``df_to_dict`` for each split."""
    import numpy as np
    import pandas as pd
    from torch_rechub.utils.data import df_to_dict, generate_seq_feature

    clock.start()
    log = pd.read_csv(csv)
    rows = len(log)
    splits = generate_seq_feature(
        data=log,
        user_col="user_id",
        item_col="item_id",
        time_col="time",
        item_attribute_cols=["cate_id"],
    )
    vocabulary = {column: int(log[column].max()) for column in ("user_id", "item_id", "cate_id")}
    arrays = [df_to_dict(split) for split in splits]
    clock.stop()
    if save_to is not None:  # as the tutorial's own arrays, for the training case
        np.savez(save_to, **arrays[0])
    return {
        "rows": rows,
        "samples": sum(len(split["label"]) for split in arrays),
        "vocabulary": vocabulary,
    }


def write_log(
    clock: Clock, path: str, users: int, items: int, cates: int, rows: int, least: int, seed: int
) -> dict[str, Any]:
    """Write a log of a given shape; every user, item and category occurs."""
    from benchmarks.logs import write_shaped_log

    clock.start()
    write_shaped_log(path, users, items, cates, rows, least, seed)
    clock.stop()
    return {"bytes": Path(path).stat().st_size}


def write_scale_log(
    clock: Clock, path: str, users: int, items: int, cates: int, rows: int, seed: int
) -> dict[str, Any]:
    """Write one of the logs of the scale case."""
    from benchmarks.scale_log import generate_scale_csv

    clock.start()
    generate_scale_csv(path, users, items, cates, rows, seed)
    clock.stop()
    return {"bytes": Path(path).stat().st_size}
