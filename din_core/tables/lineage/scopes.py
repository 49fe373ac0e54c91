"""What a column's name means at one place of a query; :mod:`columns` walks through the query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from din_core.store.query_relations import UnreadableQueryError

#: A relation and its column, both in lower case; without a column where its rows are counted.
Source = tuple[str, str | None]
Sources = frozenset[Source]

NOTHING: Sources = frozenset()


class Packed(frozenset[Source]):
    """The sources of a struct, or of a list of structs, whose fields have sources of their own.

    Attributes:
        fields: The sources of each field, by its name in lower case.
    """

    fields: Mapping[str, Sources]

    @classmethod
    def of(cls, fields: Mapping[str, Sources], also: Iterable[Source] = ()) -> Packed:
        """Return the sources of all fields together, and others, such as those of an order."""
        made = cls(NOTHING.union(also, *fields.values()))
        made.fields = fields
        return made


@dataclass(frozen=True)
class Relation:
    """What stands behind ``from``.

    Attributes:
        columns: Its columns with their sources; None where they are not known.
        rows: What is counted where its rows are.
        stored: The name of a table or view, whose columns are their own source.
    """

    columns: Mapping[str, Sources] | None
    rows: Sources
    stored: str | None = None

    def column(self, name: str) -> Sources | None:
        """Return the sources of a column, None where it has none of that name."""
        if self.columns is None:
            return frozenset({(self.stored or "", name)})
        found = {each.lower(): sources for each, sources in self.columns.items()}
        return found.get(name.lower())


@dataclass(frozen=True)
class Scope:
    """What a name can mean at one place of a query.

    Attributes:
        stored: Columns of tables and views, where they are known.
        expressions: Common table expressions, by name.
        relations: What stands behind ``from`` here, by the name that it is called.
        outer: The query around this one.
        values: Names that are no columns of a relation: parameters of a lambda, and columns of the
            same ``select`` further left.
    """

    stored: Mapping[str, Sequence[str]]
    expressions: Mapping[str, Relation] = field(default_factory=dict[str, Relation])
    relations: Mapping[str, Relation] = field(default_factory=dict[str, Relation])
    outer: Scope | None = None
    values: Mapping[str, Sources] = field(default_factory=dict[str, Sources])

    def having(self, **changes: Any) -> Scope:
        """Return it with some of its parts replaced."""
        return Scope(**{**vars(self), **changes})

    def inner(self) -> Scope:
        """Return the scope that a query inside of this one begins with."""
        return Scope(stored=self.stored, expressions=self.expressions, outer=self)

    @property
    def rows(self) -> Sources:
        """What is counted where rows are."""
        return NOTHING.union(*(each.rows for each in self.relations.values()))

    def of(self, path: Sequence[str]) -> Sources:
        """Return the sources of a column by the name that the query gives it.

        Raises:
            UnreadableQueryError: It is not there, or could be that of several relations.
        """
        scope: Scope | None = self
        while scope is not None:
            found = scope._here([part.lower() for part in path])
            if found is not None:
                return found
            scope = scope.outer
        raise UnreadableQueryError(f"the column {'.'.join(path)} is of none of the relations read")

    def _here(self, path: Sequence[str]) -> Sources | None:
        if len(path) > 1 and path[0] in self.relations:
            return _field(self.relations[path[0]].column(path[1]), path[2:])
        return _field(self._column(path[0]), path[1:])

    def _column(self, name: str) -> Sources | None:
        # Of one that two have, `using` made one: either is its source.
        if (found := self._known(name)) is not None:
            return found
        if name in self.values:
            return self.values[name]
        unknown = [each for each in self.relations.values() if each.columns is None]
        if len(unknown) > 1:
            raise UnreadableQueryError(
                f"the column {name} could be that of {' or '.join(self.relations)}: write its "
                "relation before it"
            )
        return unknown[0].column(name) if unknown else None

    def _known(self, name: str) -> Sources | None:
        for each in self.relations.values():
            if each.columns is not None and (found := each.column(name)) is not None:
                return found
        return None


def _field(sources: Sources | None, path: Sequence[str]) -> Sources | None:
    """Return the sources of a field, where they are known apart from those of the others."""
    for name in path:
        if not isinstance(sources, Packed) or name not in sources.fields:
            break
        sources = sources.fields[name]
    return sources
