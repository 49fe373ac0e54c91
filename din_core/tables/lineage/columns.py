"""Which columns each column of a query comes from, by DuckDB's own parser.

As in :mod:`~din_core.store.query_relations` nothing is bound and nothing is run. A column comes
from every column that its expression names: values, conditions of a ``case``, filters of an
aggregate, the order and the partition of a window. What merely chooses the rows (joins, ``where``,
``group by``) is no source. Names of common table expressions are followed to the relations behind,
and so are the fields of a struct that is packed and unpacked on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import duckdb

from din_core.store.query_relations import Node, UnreadableQueryError, parsed
from din_core.tables.lineage.scopes import NOTHING, Packed, Relation, Scope, Sources

# Table functions that make one column, which has their name where the query gives it none.
_ONE_COLUMN = ("range", "generate_series", "unnest")

# What makes of a list of structs another one with the same fields.
_KEEP_FIELDS = (
    "list",
    "list_sort",
    "list_reverse_sort",
    "list_reverse",
    "list_filter",
    "array_slice",
)


def column_sources(
    con: duckdb.DuckDBPyConnection,
    query: str,
    columns_of: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Sources]:
    """Return what each column of a query comes from.

    Args:
        con: Any connection; nothing is executed on its tables.
        query: One ``select`` statement.
        columns_of: Columns of the relations that it reads, where they are known. They tell which of
            several relations a column without one belongs to, and what ``*`` stands for.

    Returns:
        The columns in the order of the query, by name. One without a source is a constant.

    Raises:
        UnreadableQueryError: The text does not parse, or a column cannot be told.

    Example:
        >>> with duckdb.connect() as con:
        ...     found = column_sources(con, "with a as (select x + y as z from t) select z from a")
        >>> sorted(found["z"])
        [('t', 'x'), ('t', 'y')]
    """
    known = {
        name.lower(): tuple(column.lower() for column in columns)
        for name, columns in (columns_of or {}).items()
    }
    node = parsed(con, query)[0]["node"]
    return dict(_query(node, Scope(stored=known)).columns or {})


def _query(node: Node, scope: Scope) -> Relation:
    """Return the relation that a query makes."""
    for expression in node.get("cte_map", {}).get("map", ()):
        name, value = expression["key"].lower(), expression["value"]
        made = _named(_expression(value["query_node"], name, scope), value.get("aliases", ()))
        scope = scope.having(expressions={**scope.expressions, name: made})
    kind = node["type"]
    if kind == "SELECT_NODE":
        return _select(node, scope)
    if kind == "SET_OPERATION_NODE":
        parts = node.get("children") or [node["left"], node["right"]]
        return _united([_query(part, scope) for part in parts])
    raise UnreadableQueryError(f"what a {kind} makes is not known")


def _expression(node: Node, name: str, scope: Scope) -> Relation:
    """Return what a common table expression makes; a recursive one reads what it began with."""
    if node["type"] != "RECURSIVE_CTE_NODE":
        return _query(node, scope)
    first = _query(node["left"], scope)
    again = scope.having(expressions={**scope.expressions, name: first})
    return _united([first, _query(node["right"], again)])


def _united(parts: Sequence[Relation]) -> Relation:
    """Return rows of several relations below each other: columns belong together by place."""
    names = list(parts[0].columns or {})
    columns = [list((part.columns or {}).values()) for part in parts]
    return Relation(
        {
            name: NOTHING.union(*(of_part[place] for of_part in columns))
            for place, name in enumerate(names)
        },
        NOTHING.union(*(part.rows for part in parts)),
    )


def _named(relation: Relation, names: Sequence[str]) -> Relation:
    """Return a relation with other names for its first columns."""
    if not names or relation.columns is None:
        return relation
    new = [*names, *list(relation.columns)[len(names) :]]
    columns = dict(zip(new, relation.columns.values(), strict=True))
    return Relation(columns, relation.rows, relation.stored)


def _select(node: Node, scope: Scope) -> Relation:
    scope = _from(node["from_table"], scope.having(relations={}, values={}))
    columns: dict[str, Sources] = {}
    for place, each in enumerate(node["select_list"]):
        if each["class"] == "STAR":
            columns |= _star(each, scope)
            continue
        name = each.get("alias") or (each.get("column_names") or [f"column{place}"])[-1]
        columns[name] = _sources(each, scope)
        left = {known.lower(): sources for known, sources in columns.items()}
        scope = scope.having(values=left)
    return Relation(columns, scope.rows)


def _star(node: Node, scope: Scope) -> dict[str, Sources]:
    if any(node.get(key) for key in ("exclude_list", "replace_list", "rename_list", "columns")):
        raise UnreadableQueryError("a * without some columns: write the columns that are meant")
    wanted = node.get("relation_name", "").lower()
    found: dict[str, Sources] = {}
    for name, relation in scope.relations.items():
        if wanted in ("", name):
            if relation.columns is None:
                raise UnreadableQueryError(f"the columns of {name} are not known, and * means them")
            for column, sources in relation.columns.items():
                found.setdefault(column, sources)
    return found


def _from(node: Node, scope: Scope) -> Scope:
    """Return the scope with what stands behind ``from``; what is further right sees the left."""
    kind = node["type"]
    if kind == "EMPTY":
        return scope
    if kind == "JOIN":
        return _from(node["right"], _from(node["left"], scope))
    if kind == "BASE_TABLE":
        name, relation = _by_name(node, scope)
    elif kind == "SUBQUERY":
        name, relation = "", _query(node["subquery"]["node"], scope.inner())
    elif kind == "TABLE_FUNCTION":
        called = node["function"].get("function_name", "").lower()
        if called not in _ONE_COLUMN:  # another one, or a macro: its columns could be any
            raise UnreadableQueryError(f"what {called}() makes is not known")
        made = node.get("alias") or called
        name, relation = made, Relation({made: _sources(node["function"], scope)}, NOTHING)
    elif kind == "EXPRESSION_LIST":
        rows = [[_sources(value, scope) for value in row] for row in node["values"]]
        columns = {f"col{place}": NOTHING.union(*each) for place, each in enumerate(zip(*rows))}  # noqa: B905
        name, relation = "", Relation(columns, NOTHING)
    else:
        raise UnreadableQueryError(f"what a {kind} makes is not known")
    relation = _named(relation, node.get("column_name_alias", ()))
    name = (node.get("alias") or name or f"relation {len(scope.relations)}").lower()
    return scope.having(relations={**scope.relations, name: relation})


def _by_name(node: Node, scope: Scope) -> tuple[str, Relation]:
    path = [str(part).lower() for part in node["qualified_name"]["path"]]
    if len(path) == 1 and path[0] in scope.expressions:
        return path[0], scope.expressions[path[0]]
    stored = ".".join(path)
    columns = scope.stored.get(stored)
    known = None if columns is None else {each: frozenset({(stored, each)}) for each in columns}
    return path[-1], Relation(known, frozenset({(stored, None)}), stored)


def _sources(node: object, scope: Scope) -> Sources:
    """Return the sources of an expression."""
    if isinstance(node, list):
        return NOTHING.union(*(_sources(each, scope) for each in cast("list[object]", node)))
    if not isinstance(node, dict):
        return NOTHING
    fields = cast("dict[str, Any]", node)
    kind = fields.get("class")
    if kind == "COLUMN_REF":
        return scope.of(fields["column_names"])
    if kind == "SUBQUERY":
        made = _query(fields["subquery"]["node"], scope.inner())
        exists = fields.get("subquery_type") in ("EXISTS", "NOT_EXISTS")
        compared = _sources(fields.get("child"), scope)
        return NOTHING.union(compared, *(made.columns or {}).values(), made.rows if exists else ())
    if kind in ("FUNCTION", "WINDOW"):
        return _call(fields, scope)
    return _sources(list(fields.values()), scope)


def _call(node: Node, scope: Scope) -> Sources:
    called = node.get("function_name", "").lower()
    arguments = node.get("arguments", [])
    rest = _sources([each for name, each in node.items() if name != "arguments"], scope)
    if called == "count_star":
        return rest | scope.rows
    if called == "struct_pack":
        return Packed.of(
            {each["name"].lower(): _sources(each["expression"], scope) for each in arguments}
        )
    found: list[Sources] = []
    for argument in arguments:
        each = argument["expression"]
        is_lambda = each.get("class") == "LAMBDA"
        found.append(_lambda(each, found, scope) if is_lambda else _sources(each, scope))
    first = found[0] if found else NOTHING
    if isinstance(first, Packed) and called in _KEEP_FIELDS:
        return Packed.of(first.fields, rest.union(*found))
    # What a lambda makes of an element is all that is left of the list.
    if called == "list_transform":
        found = found[1:]
    return rest.union(*found)


def _lambda(node: Node, arguments: Sequence[Sources], scope: Scope) -> Sources:
    """Return what comes out of a lambda whose first parameter is an element of the first list."""
    names = [name.lower() for name in _parameters(node["lhs"])]
    first = arguments[0] if arguments else NOTHING
    values = {name: first if place == 0 else NOTHING for place, name in enumerate(names)}
    # A parameter hides a column of its name.
    return _sources(node["expr"], Scope(stored=scope.stored, outer=scope, values=values))


def _parameters(node: object) -> Iterator[str]:
    """Yield the names of a lambda's parameters: one, or several in a row."""
    if isinstance(node, list):
        for each in cast("list[object]", node):
            yield from _parameters(each)
    elif isinstance(node, dict):
        fields = cast("dict[str, Any]", node)
        if fields.get("class") == "COLUMN_REF":
            yield str(fields["column_names"][0])
        for each in fields.values():
            yield from _parameters(each)
