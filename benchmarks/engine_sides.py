"""The side of the cases ``engines``: all tables of a generated log, by one engine, on some cores.

It runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.clock import Clock

#: What `interactions` is made of, by the shape of the log. `h` is a hash of the row's number.
_USERS = {
    "even": "cast(h % $users as bigint)",
    # All rows but a sixth are of one user, who is neither first nor last.
    "user": "case when h // 7919 % 6 > 0 then $users // 2 else cast(h % $users as bigint) end",
    "item": "cast(h % $users as bigint)",
}
_ITEMS = {
    "even": "cast(h // 104729 % $items as bigint)",
    "user": "cast(h // 104729 % $items as bigint)",
    # Half of the rows are of one item.
    "item": (
        "case when h // 7919 % 2 = 0 then $items // 2 else cast(h // 104729 % $items as bigint) end"
    ),
}
_CHECKED = ("known_ids", "users", "items", "events", "user_sequences", "negatives", "samples")
_DUCKDB_MEMORY = "6GB"
_SPARK_MEMORY = "8g"


def engine_tables(
    clock: Clock, engine: str, cores: int, shape: str, rows: int, folder: str
) -> dict[str, Any]:
    """Make all tables, then run the checks that would stop them; seconds of each.

    Args:
        clock: Times all of it; the log, the engine's start and the hand-over are before.
        engine: ``duckdb``, ``sail`` or ``spark`` (Apache Spark, which needs Java).
        cores: What the process and all that it starts may run on.
        shape: ``even``, ``user`` (one user has five sixths of the events) or ``item`` (one item has
            half of them).
        rows: Events of the log, of a hundredth as many users.
        folder: Where database and tables lie.

    Returns:
        ``stages``, ``tree_peak_mb``, ``tree_cpu_seconds``, ``disk_mb``; ``missing`` in their place
        where the machine has no Java.
    """
    if engine == "spark" and shutil.which("java") is None:
        clock.start()
        clock.stop()
        return {"missing": "Java is not installed"}
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {_SPARK_MEMORY} pyspark-shell"
    from benchmarks.process_tree import ProcessTree
    from din_core import store
    from din_core.config import SequenceConfig, SourceConfig
    from din_core.engines import sessions
    from din_core.engines.engine import DUCKDB
    from din_core.engines.parquet_tables import ParquetRoot
    from din_core.engines.spark import SparkEngine
    from din_core.tables import checks, sequences

    source, config = SourceConfig(path=""), SequenceConfig()
    stages: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        con = stack.enter_context(
            store.connect(
                Path(folder, "pipeline.duckdb"), threads=cores, memory_limit=_DUCKDB_MEMORY
            )
        )
        _write_interactions(con, shape, rows)
        its: Any = DUCKDB
        if engine != "duckdb":
            remote = None if engine == "sail" else f"local[{cores}]"
            spark = stack.enter_context(sessions.session(remote))
            its = SparkEngine(spark, ParquetRoot(str(Path(folder, "tables")), buckets=16))
            its.query(con, "select count(*) from interactions")
        tree = ProcessTree()
        clock.start()
        for name in (*sequences.tables(), "samples"):
            begin = time.perf_counter()
            with its.transaction(), store.transaction(con):
                context = sequences.build_table(con, name, source, config, its)
            stages[name] = round(time.perf_counter() - begin, 3)
        begin = time.perf_counter()
        context = sequences.template_context(con, source, config, engine=its)
        for check in checks.all_checks():
            if check.asset in _CHECKED and check.severity == "error":
                found = checks.run_check(con, check.name, context, engine=its)
                if not found.passed:
                    raise RuntimeError(found.finding())
        stages["checks"] = round(time.perf_counter() - begin, 3)
        clock.stop()
        tree.stop()
    return {
        "stages": stages,
        "tree_peak_mb": round(tree.peak_mb, 1),
        "tree_cpu_seconds": round(tree.cpu_seconds, 2),
        "disk_mb": round(
            sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 2**20,
            1,
        ),
    }


def _write_interactions(con: Any, shape: str, rows: int) -> None:
    users = max(10, rows // 100)
    # Of a user with millions of events, there have to be items left to draw.
    items = max(50, 2 * rows if shape == "user" else rows // 25)
    wanted = {"$users": str(users), "$items": str(items)}
    user, item = _USERS[shape], _ITEMS[shape]
    for name, value in wanted.items():
        user, item = user.replace(name, value), item.replace(name, value)
    con.execute(
        f"""
        create table interactions as
        select
            {user} as user_id, {item} as item_id, cast(number as bigint) as time,
            {item} % {max(5, items // 400)} as cate_id, 'log.csv' as file, number + 2 as line
        from (select range as number, hash(range) // 2 as h from range({rows}))
        """
    )
