"""Which files a source has and where the wanted columns are in them, before any row is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from din_core.config import Quoting
from din_core.sources.csv_header import Header, locate, read_header
from din_core.sources.errors import SourceError
from din_core.sources.files import SourceFile, open_text
from din_core.sources.formats import refuse_other_text
from din_core.sources.parquet_rows import open_parquet

_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class Layout:
    """The files of a source and where the wanted columns are in them.

    Attributes:
        files: The files.
        headers: The header of each text file, None for Parquet.
        columns: Columns of the source.
        wanted: Name a column gets, to its name in the source.
        numbers: Those of the wanted that are read as numbers.
        has_label: Whether ``label`` is among the wanted.
        dialect: In words.
    """

    files: Sequence[SourceFile]
    headers: Sequence[Header | None]
    columns: tuple[str, ...]
    wanted: Mapping[str, str]
    numbers: frozenset[str]
    has_label: bool
    dialect: str

    def positions(self, header: Header) -> dict[str, int]:
        """Name of each wanted column, to its position in a text file of that header."""
        return {name: header.columns.index(column) for name, column in self.wanted.items()}


def read_layout(
    files: Sequence[SourceFile],
    wanted: Mapping[str, tuple[str, str]],
    label_col: str | None,
    quoting: Quoting,
    *,
    numbers: Collection[str] = (),
) -> Layout:
    """Read the headers of all files before any row.

    Args:
        files: The files.
        wanted: Name a column gets, to its name in the source and the option that names it.
        label_col: Name of the label column; None wants ``label`` where the source has it and no
            other option names it, '' none.
        quoting: Whether values of text files may be quoted.
        numbers: Those of ``wanted`` that are read as numbers.

    Raises:
        SourceError: A column is missing, or two files have different columns.
    """
    options = dict(wanted.values())
    if label_col:
        options[label_col] = "label_col"
    headers: list[Header | None] = []
    first: tuple[str, ...] = ()
    for file in files:
        header = None if file.kind == "parquet" else _header(file, tuple(options), quoting)
        if header is None:
            with open_parquet(file.path) as parquet:
                columns = tuple(parquet.schema_arrow.names)
        else:
            columns = header.columns
        first = first or columns
        if not set(options) <= set(columns):
            locate(columns, options, where=str(file.path))
        if set(columns) != set(first):
            odd = sorted(set(columns) ^ set(first))
            raise SourceError(
                f"{file.name}: its columns differ from those of {files[0].name} "
                f"({', '.join(odd)}); the files of one source have the same columns"
            )
        locate(columns, options, where=str(file.path))
        headers.append(header)
    names = {name: column for name, (column, _) in wanted.items()}
    is_there = "label" in first and "label" not in names.values()  # it may be the item: a record's
    label = label_col or ("label" if label_col is None and is_there else None)
    if label:
        names["label"] = label
    kinds = [_describe(file, header) for file, header in zip(files, headers, strict=True)]
    dialect = " / ".join(dict.fromkeys(kinds))
    return Layout(files, headers, first, names, frozenset(numbers), bool(label), dialect)


def _header(file: SourceFile, required: Sequence[str], quoting: Quoting) -> Header:
    with open_text(file) as stream:
        start = stream.read(_HEADER_BYTES)
    refuse_other_text(start, file.path, compression=file.compression)
    return read_header(
        start,
        required=required,
        where=str(file.path),
        quoting=quoting,
        complete=len(start) < _HEADER_BYTES,
    )


def _describe(file: SourceFile, header: Header | None) -> str:
    if header is None:
        return "Parquet"
    packed = f", {file.compression}" if file.compression else ""
    return f"{header.dialect}{packed}"
