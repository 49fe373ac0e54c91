"""Which relations a query reads, by DuckDB's own parser.

What the engine parses is what it runs, so there is no second grammar to keep in step. Nothing is
bound: the relations need not exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar, cast

import duckdb

Node = Mapping[str, Any]
T = TypeVar("T")


# What stands before the select in the text that DuckDB keeps of a view.
_NAME = r'(?:"(?:[^"]|"")*"|[^\s".()]+)'
_HEAD = re.compile(
    rf'create\s+view\s+{_NAME}(?:\.{_NAME})*\s*(?:\((?:"(?:[^"]|"")*"|[^")])*\))?\s*as\s', re.I
)
# How the table functions that read files are called.
_READS_FILES = re.compile(r"read_\w+|\w+_scan|sniff_csv|glob")
# Table functions that read a relation named by a text: what they read could not be told.
_BY_NAME = ("query", "query_table")


class _Kept(dict[str, T]):
    """What was found of queries, by their text; a query says the same on any connection."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def of(self, query: str, find: Callable[[], T]) -> T:
        """Return what was found of a query, or find it."""
        if query not in self:
            found = find()
            if len(self) >= self._most:
                self.clear()
            self[query] = found
        return self[query]


# A lineage asks for the relations of some 300 queries, more than trees are kept: those are large.
_relations: _Kept[frozenset[str]] = _Kept(2048)
_functions: _Kept[frozenset[str]] = _Kept(2048)
_parsed: _Kept[list[Node]] = _Kept(256)


class UnreadableQueryError(ValueError):
    """The text is not a ``select`` that DuckDB can parse."""


def select_of(view: str) -> str:
    """Return the ``select`` in the text that DuckDB keeps of a view.

    Args:
        view: Column ``sql`` of ``duckdb_views()``: ``create view … as select …;``.
    """
    return _HEAD.sub("", view, count=1).rstrip().rstrip(";")


def relations_of(con: duckdb.DuckDBPyConnection, query: str) -> frozenset[str]:
    """Return the names of the tables and views that a query reads, in lower case.

    Names of common table expressions are left out where they are in scope: ``with a as (select *
    from a) select * from a`` reads the table ``a``, once. Table functions and values are none. A
    name with a schema keeps it, as ``main.users``.

    Args:
        con: Any connection; nothing is executed on its tables.
        query: One ``select`` statement.

    Raises:
        UnreadableQueryError: The text does not parse, is not a ``select``, or names a relation by a
            text.
    """
    return _relations.of(query, lambda: frozenset(_read(parsed(con, query), frozenset())))


def in_order(reads: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Return relations so that each comes after those among them that it reads, else as they come.

    Args:
        reads: What each of them reads, by name, all in lower case.

    Yields:
        Their names. Of a circle each comes once, and the engine says what is wrong.
    """
    waiting = dict(reads)
    while waiting:
        others = waiting.keys()
        ready = [name for name in waiting if not {*reads[name]} & (others - {name})]
        for name in ready or [*waiting]:
            del waiting[name]
            yield name


def reads_files(con: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Say whether a query itself calls a function that reads files, such as ``read_parquet``.

    Args:
        con: Any connection, as of :func:`relations_of`.
        query: One ``select`` statement.

    Raises:
        UnreadableQueryError: The text does not parse, or is not a ``select``.
    """
    called = _functions.of(query, lambda: frozenset(_called(parsed(con, query))))
    return any(map(_READS_FILES.fullmatch, called))


def _called(node: object) -> Iterator[str]:
    """Walk a parsed query to the table functions that it calls."""
    if isinstance(node, list):
        for each in cast("list[object]", node):
            yield from _called(each)
    elif isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        if fields.get("type") == "TABLE_FUNCTION":
            yield _name_of(fields)
        for each in fields.values():
            yield from _called(each)


def _name_of(table_function: Node) -> str:
    return str(table_function["function"].get("function_name", "")).lower()


def parsed(con: duckdb.DuckDBPyConnection, query: str) -> list[Node]:
    """Return the statements of a query, as the engine's parser writes them down.

    Raises:
        UnreadableQueryError: The text does not parse, or is not a ``select``.
    """
    return _parsed.of(query, lambda: _parse(con, query))


def _parse(con: duckdb.DuckDBPyConnection, query: str) -> list[Node]:
    answer = con.execute("select json_serialize_sql(?)", [query]).fetchall()[0][0]
    tree = json.loads(answer)
    if tree["error"]:
        raise UnreadableQueryError(tree["error_message"])
    return tree["statements"]


def _read(node: object, in_scope: frozenset[str]) -> Iterator[str]:
    """Walk a parsed query, with the common table expressions that a name may mean."""
    if isinstance(node, list):
        for each in cast("list[object]", node):
            yield from _read(each, in_scope)
    elif isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        if fields.get("type") == "TABLE_FUNCTION":
            called = _name_of(fields)
            if called in _BY_NAME:
                raise UnreadableQueryError(
                    f"{called}() reads a table whose name is a text; name the table after 'from'"
                )
        if fields.get("type") == "BASE_TABLE":
            path = [str(part).lower() for part in fields["qualified_name"]["path"]]
            if len(path) > 1 or path[0] not in in_scope:
                yield ".".join(path)
        if "cte_map" in fields:
            for expression in fields["cte_map"]["map"]:
                name, query = expression["key"].lower(), expression["value"]["query_node"]
                recursive = query.get("type") == "RECURSIVE_CTE_NODE"
                # Each sees those before it, and itself only where it is recursive.
                yield from _read(expression["value"], in_scope | ({name} if recursive else set()))
                in_scope |= {name}
        for name, each in fields.items():
            if name != "cte_map" and isinstance(each, (dict, list)):
                yield from _read(cast("object", each), in_scope)
