"""Who reads whom, read off the SQL files: the assets' dependencies and the order of building.

A file belongs to an asset, by its name or by its head (:mod:`~din_core.tables.lineage.heads`). What
it reads is found by rendering it, variants and macros included, for contexts that take every branch
of it, and parsing what comes out. Nothing of this is written down anywhere else.
"""

from __future__ import annotations

import functools
import graphlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import duckdb

from din_core.code_versions import Stamp, stamps
from din_core.sources import rendering
from din_core.store import sql_files
from din_core.store.computed_once import computed_once
from din_core.store.query_relations import UnreadableQueryError, relations_of
from din_core.tables import attributes, template_context
from din_core.tables.lineage.heads import Head, head_of
from din_core.tables.lineage.plausible_contexts import plausible_contexts

# What the queries come from, beside the files themselves.
_RENDERED_WITH = (sql_files, attributes, rendering, template_context)


class LineageError(sql_files.SqlFileError):
    """A file reads what nobody makes, or files read each other in a circle."""


@dataclass(frozen=True)
class SqlFile:
    """One name of ``sql/``: its file, or its variants together.

    Attributes:
        head: What the head says; of several variants the first one's.
        paths: The files.
        reads: Tables and views that they read, of all variants, without what Python hands in.
    """

    head: Head
    paths: tuple[Path, ...]
    reads: frozenset[str]


@dataclass(frozen=True)
class Lineage:
    """All files of ``sql/`` and who reads whom.

    Attributes:
        files: By name.
    """

    files: Mapping[str, SqlFile]

    def files_of(self, asset: str) -> tuple[SqlFile, ...]:
        """Return the files that belong to an asset, its checks included, by name."""
        return tuple(file for _, file in sorted(self.files.items()) if asset in file.head.assets)

    def contents_of(self, relations: Iterable[str]) -> frozenset[str]:
        """Return relations together with what lies behind those that are views.

        A view has no content of its own: who reads it reads the tables that it is made of.

        Raises:
            LineageError: A relation that no file makes.
        """
        found: set[str] = set()
        waiting = list(relations)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            made = self.files.get(name)
            if made is None or made.head.kind not in ("table", "view"):
                raise LineageError(f"no file of sql/ makes a table or view {name!r}")
            if made.head.kind == "view":
                waiting += made.reads
        return frozenset(found)

    def owners_of(self, relations: Iterable[str]) -> frozenset[str]:
        """Return the assets that hold relations, with what lies behind views.

        Raises:
            LineageError: A relation that no file makes.
        """
        return frozenset(
            asset for name in self.contents_of(relations) for asset in self.files[name].head.assets
        )

    def inputs_of(self, asset: str) -> list[str]:
        """Return the assets that the files of an asset read, by name, itself left out."""
        read = {name for file in self.files_of(asset) for name in file.reads}
        return sorted(self.owners_of(read) - {asset})

    def require_assets(self, assets: Collection[str]) -> None:
        """Refuse a file that belongs to no asset: nothing would make what it says.

        Args:
            assets: The names of all that there are.

        Raises:
            LineageError: A head names another asset, or a file without a word on it is called so.
        """
        for name, file in self.files.items():
            for asset in file.head.assets:
                if asset not in assets:
                    raise LineageError(
                        f"{file.paths[0].name} belongs to the asset {asset!r}, which there is not: "
                        f"correct '-- asset:' in its head, or make an asset of {name}"
                    )

    def in_order(self, names: Iterable[str]) -> tuple[str, ...]:
        """Order files so that each comes after those that it reads, else by name.

        Args:
            names: Names of files.

        Raises:
            LineageError: They read each other in a circle.
        """
        wanted = sorted(names)
        graph = {name: sorted(self.files[name].reads & set(wanted) - {name}) for name in wanted}
        try:
            return tuple(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            circle = " reads ".join(reversed(error.args[1]))
            raise LineageError(f"sql/: {circle}; one of them has to do without") from error


def lineage() -> Lineage:
    """Read all files of ``sql/``, or take what was read of the same files before.

    Raises:
        LineageError: A file reads what no file makes, or does not parse.
        SqlFileError: A head that says something wrong, or a name that stands in two folders.
    """
    below = len(os.fspath(sql_files.SQL_ROOT)) + 1
    stamped = stamps(sql_files.SQL_ROOT)
    for each in stamped:
        if each.path.count(os.sep, below) > 1:
            raise LineageError(
                f"{each.path}: files of sql/ lie in its folders, and no deeper; move it up"
            )
    return _read(stamped)


@functools.lru_cache(maxsize=4)
def _read(stamped: Sequence[Stamp]) -> Lineage:
    paths = [Path(each.path) for each in stamped]
    variants: dict[str, list[Path]] = {}
    for path in paths:
        if path.suffix == ".sql":
            variants.setdefault(path.name.partition(".")[0], []).append(path)
    heads = {name: [head_of(path) for path in each] for name, each in variants.items()}
    here = Path(__file__)
    basis = [
        duckdb.__version__.encode(),
        *(path.read_bytes() for path in sorted(here.parent.glob("*.py"))),
        *(Path(str(each.__file__)).read_bytes() for each in _RENDERED_WITH),
        *(f"{path}".encode() + path.read_bytes() for path in paths),
    ]
    read = computed_once("lineage", basis, lambda: _relations_by_name(variants, heads))
    files = {
        name: SqlFile(heads[name][0], tuple(each), frozenset(read[name]))
        for name, each in variants.items()
    }
    for name, of_variants in heads.items():
        if len({head.assets for head in of_variants}) > 1:
            raise LineageError(
                f"{' and '.join(path.name for path in variants[name])} name different assets in "
                "their heads; variants of a table belong to the same ones"
            )
    for name, file in files.items():
        for read in sorted(file.reads):
            if read not in files or files[read].head.kind not in ("table", "view"):
                raise LineageError(
                    f"{' or '.join(path.name for path in file.paths)} reads {read!r}, which no "
                    f"file of sql/ makes: correct the name, or write '-- given: {read}' into the "
                    f"head of {name} if Python hands it in"
                )
    return Lineage(MappingProxyType(files))


def _relations_by_name(
    variants: Mapping[str, Sequence[Path]], heads: Mapping[str, Sequence[Head]]
) -> dict[str, list[str]]:
    with duckdb.connect() as con:
        return {
            name: sorted(
                frozenset[str]().union(
                    *(
                        _relations_read(con, path, head) - head.given
                        for path, head in zip(paths, heads[name], strict=True)
                    )
                )
            )
            for name, paths in variants.items()
        }


def _relations_read(con: duckdb.DuckDBPyConnection, path: Path, head: Head) -> frozenset[str]:
    contexts = plausible_contexts()
    if unknown := [need for need in head.needs if need not in contexts[0]]:
        raise LineageError(
            f"{path.name}: the head says '-- needs: {', '.join(unknown)}', and there is no such "
            "variable of a template; correct it, or add it to template_context.py"
        )
    queries = {
        sql_files.render_file(path, **context)
        for context in contexts
        if all(context[need] for need in head.needs)
    }
    try:
        return frozenset[str]().union(*(relations_of(con, query) for query in queries))
    except UnreadableQueryError as error:
        raise LineageError(f"{path.name}: {error}") from error
