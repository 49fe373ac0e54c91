"""A copy of the pipeline's database that stands alone: all of it, or a sample of the users.

A copy stands alone when no view in it reads a file. So a view over files (a table that an engine
made as Parquet) becomes a table there, and a view over it stays a view.

A sample holds all rows of every n-th user, so that histories stay whole and tables still join. Then
a view with a column of the user is one of the sample. A view without one, such as a count per item,
would tell the sample's figures as if they were the log's: it is computed on the whole, and stored.
Each comment says which of the two it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import duckdb

from din_core.store.database import transaction
from din_core.store.query_relations import in_order, reads_files, relations_of, select_of
from din_core.store.sql_files import literal, quote

_USERS = "users"
_INDEX, _ID = "user_idx", "user_id"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a copy holds.

    Attributes:
        every_nth_user: 1 where it holds all users.
        sampled: The tables with the rows of these users alone, each with its rows here and in the
            whole.
        computed_on_whole: The views that were stored as tables, since they tell of all users.
    """

    every_nth_user: int
    sampled: Mapping[str, tuple[int, int]]
    computed_on_whole: Collection[str]

    def sentence(self) -> str:
        """Say what a reader must know; nothing where the copy holds all users."""
        n = self.every_nth_user
        if n == 1:
            return ""
        rows = [f"{name} {here:,} of {of:,}" for name, (here, of) in self.sampled.items()]
        said = f"a sample, all rows of {_users(n)}: {', '.join(rows)}"
        if self.computed_on_whole:
            said += f"; computed on all users: {', '.join(self.computed_on_whole)}"
        return f"{said}. A larger max_rows (ops: warehouse: config) publishes more"


def _users(n: int) -> str:
    return f"1 in {n} users (those with {_INDEX} % {n} = 1)"


@dataclass(frozen=True)
class _Relation:
    name: str
    sql: str
    comment: str
    columns: Mapping[str, str | None]
    is_view: bool
    #: Of a view: what it reads, by name in lower case, and whether it reads files.
    reads: frozenset[str] = frozenset()
    reads_files: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether it holds rows, here or in files."""
        return not self.is_view or self.reads_files

    @property
    def has_user(self) -> bool:
        return _INDEX in self.columns or _ID in self.columns


def every_nth_user_of(con: duckdb.DuckDBPyConnection, max_rows: int) -> int:
    """Return which n makes the rows of every n-th user fit a copy.

    Args:
        con: Connection to the pipeline's database.
        max_rows: Rows that a table of the copy may have, about.

    Returns:
        n: 1, all users, where no table with a column of the user is larger.
    """
    every = _relations(con, _database(con))
    rows = [_count(con, _database(con), each.name) for each in _by_user(every)]
    return -(-max([*rows, 1]) // max_rows)


def copy_into(
    con: duckdb.DuckDBPyConnection, source: str, target: str, every_nth_user: int
) -> Contents:
    """Copy all relations of a database into another one, comments included.

    Args:
        con: A connection with both attached. Leaves ``target`` the current one.
        source: Name of the attached database that is copied.
        target: Name of the attached one that is empty.
        every_nth_user: 1 for all users.

    Returns:
        What the copy holds.

    Raises:
        duckdb.Error: A view reads what is not there, or the disk is full.
    """
    every = _relations(con, source)
    sampled = {each.name: each for each in _by_user(every)} if every_nth_user > 1 else {}
    computed = {each.name for each in every if _must_be_computed(each, sampled, every)}
    rows: dict[str, tuple[int, int]] = {}
    views = [each for each in every if not each.is_stored and each.name not in computed]
    stored = [each for each in every if each not in views]
    con.execute(f"use {target}")
    # A commit each would wait for the disk each; the rows are larger, and have their own.
    with transaction(con):
        for each in stored:
            _create_empty(con, source, each)
    con.execute(f"use {source}")
    for each in stored:
        chosen = _of_sample(each, every_nth_user) if each.name in sampled else ""
        whole = f"{source}.{quote(each.name)}"
        answer = con.execute(
            f"insert into {target}.{quote(each.name)} select * from {whole}{chosen}"
        ).fetchall()
        if each.name in sampled:
            rows[each.name] = int(answer[0][0]), _count(con, source, each.name)
    con.execute(f"use {target}")
    contents = Contents(
        every_nth_user=every_nth_user, sampled=rows, computed_on_whole=sorted(computed)
    )
    of_views = {each.name.lower(): each for each in views}
    with transaction(con):
        for name in in_order({name: each.reads for name, each in of_views.items()}):
            con.execute(of_views[name].sql)
        for each in every:
            kind = "view" if each in views else "table"
            _comment(con, f"{kind} {quote(each.name)}", each, _said(each, contents))
    return contents


def row_counts(
    con: duckdb.DuckDBPyConnection, database: str, every_nth_user: int = 1
) -> dict[str, int]:
    """Count the rows that each stored relation of a database has of every n-th user.

    Args:
        con: A connection with the database attached.
        database: Its name there.
        every_nth_user: 1 for all users.
    """
    con.execute(f"use {database}")
    every = _relations(con, database)
    sampled = _by_user(every) if every_nth_user > 1 else []
    return {
        each.name: _count(
            con, database, each.name, _of_sample(each, every_nth_user) if each in sampled else ""
        )
        for each in every
        if each.is_stored
    }


def _by_user(every: list[_Relation]) -> list[_Relation]:
    """Return what holds rows of users: by their index, or by an id that `users` knows."""
    has_users = any(each.name == _USERS and {_INDEX, _ID} <= set(each.columns) for each in every)
    return [
        each
        for each in every
        if each.is_stored and (_INDEX in each.columns or (_ID in each.columns and has_users))
    ]


def _of_sample(relation: _Relation, every_nth_user: int) -> str:
    # The first user is among them, so that no sample is empty.
    chosen = f"{_INDEX} % {every_nth_user} = 1"
    if _INDEX in relation.columns:
        return f" where {chosen}"
    return f" where {_ID} in (select {_ID} from {_USERS} where {chosen})"


def _must_be_computed(
    relation: _Relation, sampled: Collection[str], every: list[_Relation]
) -> bool:
    if relation.is_stored or relation.has_user:
        return False
    return not _stored_below(relation, every).isdisjoint(sampled)


def _stored_below(relation: _Relation, every: list[_Relation]) -> set[str]:
    """Return the stored relations that a view reads, also by way of other views."""
    known = {each.name.lower(): each for each in every}
    found: dict[str, _Relation] = {}
    waiting = [*relation.reads]
    while waiting:
        each = known.get(waiting.pop())
        if each is not None and each.name not in found:
            found[each.name] = each
            waiting += each.reads
    return {each.name for each in found.values() if each.is_stored}


def _create_empty(con: duckdb.DuckDBPyConnection, source: str, relation: _Relation) -> None:
    if relation.is_view:
        con.execute(
            f"create table {quote(relation.name)} as "
            f"select * from {source}.{quote(relation.name)} limit 0"
        )
    else:
        con.execute(relation.sql)  # with its constraints


def _said(relation: _Relation, contents: Contents) -> str:
    """Return the comment of a relation in the copy."""
    said = ""
    n = contents.every_nth_user
    if relation.name in contents.sampled:
        rows, of = contents.sampled[relation.name]
        said = (
            f"A SAMPLE: the rows of {_users(n)}, {rows:,} of {of:,}. "
            "A user's rows are all there or not at all."
        )
        if _INDEX not in relation.columns:
            said += f" Rows of users that are not in {_USERS} are left out."
    elif relation.name in contents.computed_on_whole:
        said = "Computed on all users, not on the sample that the tables with users hold."
    elif n > 1 and relation.is_view and not relation.is_stored and relation.has_user:
        said = f"Over a SAMPLE: {_users(n)}."
    return " ".join(filter(None, (relation.comment, said)))


def _comment(con: duckdb.DuckDBPyConnection, what: str, relation: _Relation, text: str) -> None:
    name = quote(relation.name)
    texts = {what: text} | {
        f"column {name}.{quote(column)}": meaning for column, meaning in relation.columns.items()
    }
    con.execute(
        "\n".join(f"comment on {on} is {literal(said)};" for on, said in texts.items() if said)
    )


def _count(con: duckdb.DuckDBPyConnection, database: str, name: str, chosen: str = "") -> int:
    counted = con.execute(f"select count(*) from {database}.{quote(name)}{chosen}")
    return int(counted.fetchall()[0][0])


def _database(con: duckdb.DuckDBPyConnection) -> str:
    return quote(str(con.execute("select current_database()").fetchall()[0][0]))


def _relations(con: duckdb.DuckDBPyConnection, database: str) -> list[_Relation]:
    plain = database.strip('"').replace('""', '"')
    columns: dict[str, dict[str, str | None]] = {}
    for table, column, comment in con.execute(
        "select table_name, column_name, comment from duckdb_columns() "
        "where database_name = ? and not internal order by table_name, column_index",
        [plain],
    ).fetchall():
        columns.setdefault(str(table), {})[str(column)] = comment
    found = con.execute(
        "select table_name, sql, comment, false from duckdb_tables() "
        "where database_name = $1 and not internal "
        "union all select view_name, sql, comment, true from duckdb_views() "
        "where database_name = $1 and not internal order by 4, 1",
        [plain],
    ).fetchall()
    return [
        _relation(con, str(name), str(sql), comment or "", columns[str(name)], is_view=is_view)
        for name, sql, comment, is_view in found
    ]


def _relation(
    con: duckdb.DuckDBPyConnection,
    name: str,
    sql: str,
    comment: str,
    columns: Mapping[str, str | None],
    *,
    is_view: bool,
) -> _Relation:
    if not is_view:
        return _Relation(name, sql, comment, columns, is_view)
    select = select_of(sql)
    return _Relation(
        name, sql, comment, columns, is_view, relations_of(con, select), reads_files(con, select)
    )
