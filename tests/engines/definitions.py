"""How large a query gets where each name is replaced by what it stands for."""

from sqlglot import exp


def largest_definition(tree):
    """The most nodes of a column or condition, its names replaced by their definitions.

    Through all CTEs down to the tables, as planners do before they run a query; but not through
    what has to be computed first: groups, windows, distinct rows.

    Args:
        tree: A query as sqlglot parses it.

    Returns:
        The number of nodes, and the CTE (empty for the last query) and column.
    """
    largest, sizes = (0, ""), {}
    queries = [(cte.alias, cte.this) for cte in tree.find_all(exp.CTE)]
    for name, query in [*queries, ("", tree)]:
        sizes[name] = {}
        for select in query.find_all(exp.Select):
            given, is_computed = _given(select, sizes), _has_to_be_computed(select)
            defined = {}
            for column in select.expressions:
                if column.is_star:
                    defined |= given
                else:
                    defined[column.alias_or_name] = _size(column.unalias(), given)
            condition = select.args.get("where")
            if condition is not None:
                largest = max(largest, (_size(condition, given), f"{name}: where"))
            for column, size in defined.items():
                largest = max(largest, (size, f"{name}.{column}"))
                kept = 1 if is_computed else size
                sizes[name][column] = max(sizes[name].get(column, 1), kept)
    return largest


def _given(select, sizes):
    """What the columns of the relations that a query reads amount to, by name."""
    given = {}
    for table in select.find_all(exp.Table):
        for column, size in sizes.get(table.name, {}).items():
            given[column] = max(given.get(column, 1), size)
    return given


def _has_to_be_computed(select):
    groups = select.args.get("group") or select.args.get("distinct")
    return bool(groups or select.find(exp.Window))


def _size(expression, given):
    nodes = list(expression.walk())
    columns = [node.name for node in nodes if isinstance(node, exp.Column)]
    return len(nodes) + sum(given.get(name, 1) for name in columns)
