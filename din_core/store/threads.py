"""How many threads a database's queries can use.

DuckDB reads a group of 122,880 rows with one thread, so that small tables leave a second one little
to do. Asking it costs a tenth of a millisecond a statement all the same, and a run has some 1,500
statements, whatever its log.
"""

from __future__ import annotations

import duckdb

from din_core.machine import limits

#: Rows of the largest table that one thread is enough for. Less than a group: what a query makes of
#: its rows, such as the candidates beside each positive, may be many more.
FEW_ROWS = 20_000


def of_use(con: duckdb.DuckDBPyConnection, database: str) -> int:
    """Return how many threads are of use to the queries of a database.

    Args:
        con: Connection with the database attached.
        database: Its name there.

    Returns:
        1 where every table has few rows and no view reads files. Otherwise, and where no table is
        there yet to go by, the cores that this process may use.
    """
    [(rows, of_files)] = con.execute(
        "select (select max(estimated_size) from duckdb_tables() where database_name = $1), "
        "(select count(*) from duckdb_views() where database_name = $1 and not internal "
        "and contains(sql, 'read_parquet('))",
        [database],
    ).fetchall()
    is_small = rows is not None and rows <= FEW_ROWS and of_files == 0
    return 1 if is_small else limits.cores()
