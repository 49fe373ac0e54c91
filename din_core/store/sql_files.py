"""The SQL files: find them, render them, describe their tables.

A file holds one ``select`` and nothing else; its name is the name of the table (or check) that
Python makes of it. Files are Jinja templates, used sparingly: a loop where the columns depend on
the source, a number where a view needs a literal. What a template prints is safe by construction:
an integer, or text that went through :func:`quote` or :func:`literal`; anything else is refused.

Executing the result is :mod:`din_core.store`'s business; choosing the options is
:mod:`din_core.tables.sequences`'s.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import cast

import jinja2
import jinja2.bccache
import yaml
from markupsafe import Markup


def _find_root() -> Path:
    """The wheel carries the files as ``din_core/sql``; a checkout has them beside ``din_core``."""
    package = next(each for each in Path(__file__).resolve().parents if each.name == "din_core")
    return package / "sql" if (package / "sql").is_dir() else package.parent / "sql"


SQL_ROOT: Path = _find_root()


class SqlFileError(LookupError):
    """A SQL file is missing or printed something that is neither a number nor quoted."""


def quote(identifier: str) -> str:
    """Quote a column or table name, so that any name a CSV header holds is safe in SQL.

    Args:
        identifier: The plain name.

    Returns:
        The name in double quotes, inner quotes doubled.

    Raises:
        ValueError: The name is empty or holds a NUL character.

    Example:
        >>> print(quote('12" vinyl'))
        "12"" vinyl"
    """
    if not identifier or "\0" in identifier:
        raise ValueError(f"{identifier!r} cannot name a column: it is empty or holds a NUL")
    return Markup('"' + identifier.replace('"', '""') + '"')  # noqa: S704 (SQL, not HTML)


def literal(text: str) -> str:
    """Write text as a SQL string literal.

    Args:
        text: Any text.

    Returns:
        The text in single quotes, inner quotes doubled.

    Example:
        >>> print(literal("it's"))
        'it''s'
    """
    return Markup("'" + text.replace("'", "''") + "'")  # noqa: S704 (SQL, not HTML)


def number(value: Decimal) -> str:
    """Write a decimal number as SQL, digit for digit.

    Args:
        value: A finite number.

    Returns:
        The number without an exponent.

    Raises:
        ValueError: The number is NaN or infinite.

    Example:
        >>> print(number(Decimal("1.50E+3")), number(Decimal("1593878903.438")))
        1500 1593878903.438
    """
    if not value.is_finite():
        raise ValueError(f"{value} is not a number that SQL can write")
    return Markup(f"{value:f}")  # noqa: S704 (SQL, not HTML)


def _only_safe(value: object) -> object:
    """Let through what cannot change the meaning of a query: integers and quoted text."""
    if isinstance(value, jinja2.Undefined):
        return value  # Jinja's own error names the variable better.
    if isinstance(value, Markup) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise SqlFileError(
        f"a SQL template printed {value!r} ({type(value).__name__}): print integers, or text "
        "through quote() (a name) or literal() (a string)"
    )


class _CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """Compiled templates on disk, in the user's own folder among the temporary files.

    Compiling takes longer than all queries of a small log. An entry is named by the content of the
    template and of this file, which says how it is compiled, so a copy of a template elsewhere is
    not compiled again. One that cannot be read is made anew, and a disk that takes none only costs
    time.
    """

    def __init__(self) -> None:
        compiler = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
        super().__init__(pattern=f"din-{compiler}-%s.cache")

    def get_bucket(
        self,
        environment: jinja2.Environment,
        name: str,
        filename: str | None,  # noqa: ARG002
        source: str,
    ) -> jinja2.bccache.Bucket:
        return super().get_bucket(environment, f"{name}\n{source}", None, source)

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except (OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
            bucket.reset()

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _compiled_templates() -> _CompiledTemplates | None:
    try:
        return _CompiledTemplates()
    except (OSError, RuntimeError):  # no folder that is writable, and the user's alone
        return None


@functools.lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SQL_ROOT),
        bytecode_cache=_compiled_templates(),
        undefined=jinja2.StrictUndefined,
        # Autoescaping makes macros return Markup, which is how `_only_safe` tells them from text.
        autoescape=True,
        finalize=_only_safe,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cast("dict[str, object]", environment.globals).update(quote=quote, literal=literal)
    return environment


def path_of(name: str, *, variant: str | None = None) -> Path:
    """Find the file of a table or check, whichever folder of ``sql/`` it lies in.

    Args:
        name: Name of the table or check: the file name before its first dot.
        variant: What stands between the dots (``negatives.popularity.sql``), or None.

    Raises:
        SqlFileError: No such file, or the same name in two folders.
    """
    file_name = f"{name}.{variant}.sql" if variant else f"{name}.sql"
    found = [folder / file_name for folder in _folders() if (folder / file_name).exists()]
    if len(found) == 1:
        return found[0]
    if found:
        folders = " and ".join(path.parent.name for path in found)
        raise SqlFileError(f"{file_name} is in {folders}: a table has one file, remove one of them")
    variants = [path.name for path in sorted(SQL_ROOT.glob(f"*/{name}.*.sql"))]
    known = f"; the variants of {name} are {variants}" if variants else ""
    raise SqlFileError(f"{SQL_ROOT} has no file {file_name}{known}")


def _folders() -> list[Path]:
    # Not Path.glob, which takes several times as long: this is asked for at every turn.
    with os.scandir(SQL_ROOT) as entries:
        return sorted(Path(each.path) for each in entries if each.is_dir())


def render(name: str, *, variant: str | None = None, **options: object) -> str:
    """Render the ``select`` of a table or check.

    Args:
        name: Name of the table or check; its folder is found.
        variant: Variant of the file, as in ``negatives.popularity.sql``.
        **options: Values of the template's variables, for example those of a
            :class:`din_core.tables.template_context.TemplateContext`. What a template does not use
            is ignored.

    Returns:
        One ``select`` statement, without a semicolon.

    Raises:
        SqlFileError: The file is missing, an option is missing, or the template printed text that
            is not quoted.
    """
    return render_file(path_of(name, variant=variant), **options)


def render_file(path: Path, **options: object) -> str:
    """Render a file of ``sql/``, as :func:`render` does; many times, without finding it again."""
    template = _environment().get_template(path.relative_to(SQL_ROOT).as_posix())
    try:
        return template.render(**options)
    except jinja2.UndefinedError as error:
        raise SqlFileError(f"{path.name}: {error.message}; pass it to render()") from error


def private_folder() -> Path | None:
    """Return a folder among the temporary files that is the user's alone, None where none is."""
    cache = _environment().bytecode_cache
    return Path(cache.directory) if isinstance(cache, _CompiledTemplates) else None


def templates() -> jinja2.Environment:
    """Return what the templates are read with."""
    return _environment()


@dataclass(frozen=True)
class TableSchema:
    """What a table and its columns mean, from ``sql/schema.yml``.

    Attributes:
        description: What one row means.
        columns: Column name, or a pattern as ``hist_*`` where names come from the source, to
            description.
        origins: Likewise to what the column comes from, where no SQL says it: ``relation.column``,
            or a relation alone.
    """

    description: str
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def column(self, name: str) -> str:
        """Describe a column: by its own name, else by the first pattern that fits, else ``""``."""
        return self.columns.get(self._entry(name), "")

    def origin(self, name: str) -> tuple[str, ...]:
        """Say what a column comes from, where no SQL says it; nothing where the SQL does."""
        return self.origins.get(self._entry(name), ())

    def _entry(self, column: str) -> str:
        if column in self.columns:
            return column
        fitting = (each for each in self.columns if fnmatch.fnmatchcase(column, each))
        return next(fitting, "")


@functools.lru_cache(maxsize=1)
def _schemas() -> Mapping[str, TableSchema]:
    # The safe loader, in C where there is one: milliseconds instead of a tenth of a second.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (SQL_ROOT / "schema.yml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=loader)  # noqa: S506
    return {
        table["name"]: TableSchema(
            description=" ".join(table["description"].split()),
            columns={
                column["name"]: " ".join(column["description"].split())
                for column in table.get("columns", ())
            },
            origins={
                column["name"]: tuple(column["from"])
                for column in table.get("columns", ())
                if "from" in column
            },
        )
        for table in document["tables"]
    }


def schema(table: str) -> TableSchema:
    """Describe a table.

    Args:
        table: Name of the table or view.

    Returns:
        Its description and those of its columns; empty ones for a table that ``sql/schema.yml``
        does not describe.
    """
    return _schemas().get(table, TableSchema(description=""))
