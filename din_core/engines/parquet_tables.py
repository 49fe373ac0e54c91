"""Tables as Parquet below one root: a folder, or a URL that fsspec knows.

``<root>/<table>/<version>/…`` holds the files of one version of a table; of a table with users they
lie in folders ``user_bucket=<n>``, so that the rows of one user are together and a process can take
its share of the users. ``<root>/manifest.json`` says which version of each table holds. It is
replaced last, in one step: until then the versions before are what everybody reads, and what a
killed run wrote is nobody's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import posixpath
import re
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import fsspec
from fsspec.core import url_to_fs

from din_core import atomic_files
from din_core.engines.errors import EngineError

MANIFEST = "manifest.json"
#: The column that the files are laid out by; no table has it.
BUCKET = "user_bucket"

_FORMAT = 1
_BUCKETS = 16
_PATTERN = frozenset("*?[]{}")
# How :meth:`ParquetRoot.new_folder` calls a version.
_VERSION = re.compile(r"[0-9a-f]{12}")

_LOCAL_WAY = "make the folder writable, or let DIN_TABLES name another"
_REMOTE_WAY = (
    "see that the address is right and answers, and that this process may read and write there "
    "(for s3:// the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and "
    "AWS_ENDPOINT_URL where it is not Amazon's)"
)


@dataclass(frozen=True)
class ParquetTable:
    """One version of a table.

    Attributes:
        folder: Where its files lie, below the root.
        columns: Its columns in their order, each with its type as DuckDB spells it.
        rows: How many rows it has.
        bucketed: Whether its files lie in folders by user.
    """

    folder: str
    columns: Mapping[str, str]
    rows: int
    bucketed: bool


@dataclass(frozen=True)
class Manifest:
    """What holds below a root.

    Attributes:
        buckets: Into how many folders users are spread.
        tables: By name, the version of each table.
        views: By name, the ``select`` of each view over them, as DuckDB keeps it.
    """

    buckets: int
    tables: Mapping[str, ParquetTable] = field(default_factory=dict[str, ParquetTable])
    views: Mapping[str, str] = field(default_factory=dict[str, str])


class ParquetRoot:
    """The tables below a root.

    Args:
        url: A folder, or a URL such as ``s3://bucket/prefix``.
        buckets: Into how many folders users are spread; by default as many as there are, or 16
            where nothing lies there yet.
        owner: For whom tables are made there, any text; tables of another owner are refused, since
            what nobody's database reads is removed. None for who only reads.
    """

    def __init__(self, url: str, *, buckets: int | None = None, owner: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._buckets = buckets
        self._owner = owner
        try:
            found = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise EngineError(
                f"{url}: no place for tables ({error}); DIN_TABLES is a folder, or a URL that "
                "fsspec knows, each with its package (s3:// with s3fs)"
            ) from error
        self.filesystem = cast("fsspec.AbstractFileSystem", found[0])
        self._root = str(found[1])
        if odd := "".join(sorted(_PATTERN & {*self._root})):
            raise EngineError(
                f"{url}: no place for tables, since engines take {' '.join(odd)} in a path for a "
                "pattern; let DIN_TABLES name another"
            )

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return self.filesystem.protocol in ("file", ("file", "local"))

    def new_folder(self, table: str) -> str:
        """Return a folder for a new version of a table, below the root; nothing is written."""
        return posixpath.join(table, uuid.uuid4().hex[:12])

    def url_of(self, folder: str) -> str:
        """Return where a folder below the root is, as an engine and DuckDB take it."""
        place = posixpath.join(self._root, folder)
        return self._as_url(place)

    def files(self, folder: str, bucket: int | None = None) -> list[str]:
        """List the Parquet files of a version, or of a bucket of it, as DuckDB takes them.

        What lies in folders such as ``_temporary`` is no part of it: a task that failed, or was
        overtaken by another attempt, leaves its rows there.
        """
        below = folder if bucket is None else posixpath.join(folder, f"{BUCKET}={bucket}")
        place = posixpath.join(self._root, below)
        with self._explained("read"):
            found = cast("list[str]", self.filesystem.find(place))
        return [self._as_url(each) for each in sorted(found) if _is_read(each, place)]

    def manifest(self) -> Manifest:
        """Read what holds; nothing does where nothing was made yet.

        Raises:
            EngineError: The manifest is damaged, of another version of this program, or of tables
                of another owner.
        """
        path = posixpath.join(self._root, MANIFEST)
        try:
            with self._explained("read"):
                content = cast("bytes", self.filesystem.cat_file(path))
            document = json.loads(content)
            if document["format"] != _FORMAT:
                raise EngineError(
                    f"{self.url}/{MANIFEST} is of format {document['format']}, this program reads "
                    f"{_FORMAT}: make the tables again in another place, or take the program that "
                    "made them"
                )
            if self._buckets not in (None, document["buckets"]):
                raise EngineError(
                    f"{self.url}: the tables there lie in {document['buckets']} folders by user, "
                    f"and buckets is {self._buckets}; leave it out (resources: store: config), or "
                    "make them in another place (DIN_TABLES)"
                )
            if None not in (self._owner, other := document.get("owner")) and other != self._owner:
                raise EngineError(
                    f"{self.url}: the tables there were made for another folder of results "
                    "(DIN_HOME), and a run here would remove them; let DIN_TABLES name another "
                    f"place, or remove {MANIFEST} there to give them up"
                )
            return _manifest_of(document)
        except FileNotFoundError:
            return Manifest(self._buckets or _BUCKETS)
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"{self.url}/{MANIFEST} is damaged: {error}; remove it and make the tables again "
                "(din run --all)"
            ) from error

    def replace_manifest(self, manifest: Manifest) -> None:
        """Let these versions hold, from one moment to the next."""
        document = {"format": _FORMAT, "owner": self._owner, **dataclasses.asdict(manifest)}
        # Not sorted: the order of columns counts.
        content = json.dumps(document, indent=1).encode()
        path = posixpath.join(self._root, MANIFEST)
        with self._explained("written"):
            if not self.is_local:
                # An object store shows an object whole or not at all.
                self.filesystem.pipe_file(path, content)
                return
            Path(self._root).mkdir(parents=True, exist_ok=True)
            with atomic_files.replacing(Path(path)) as temporary:
                temporary.write_bytes(content)

    def flush(self, folder: str) -> None:
        """Flush the files of a version to the disk, before anything names them.

        An object store has an object safe when it takes it.
        """
        if self.is_local:
            place = Path(self._root, folder)
            with self._explained("written"):
                atomic_files.sync_tree(place)
                for above in (place.parent, place.parent.parent):
                    atomic_files.sync(above)

    def make(self, folder: str) -> None:
        """Make a folder for the files of a version; an object store has none."""
        if self.is_local:
            with self._explained("written"):
                self.filesystem.makedirs(posixpath.join(self._root, folder), exist_ok=True)

    def write_empty(self, folder: str, schema: Any) -> None:
        """Write a file without rows, so that a version says at least which columns it has.

        Args:
            folder: The version.
            schema: Arrow's schema of the table; pyarrow comes without types.
        """
        import pyarrow.parquet as pq

        path = posixpath.join(self._root, folder, "part-0.parquet")
        with self._explained("written"), self.filesystem.open(path, "wb") as to:
            pq.write_table(schema.empty_table(), to)

    def remove(self, folder: str) -> None:
        """Remove the files of a version."""
        path = posixpath.join(self._root, folder)
        with self._explained("written"):
            if self.filesystem.exists(path):
                self.filesystem.rm(path, recursive=True)
            if self.is_local:
                # Of what was sent to the engine for a moment no empty folder is to stay.
                with contextlib.suppress(OSError):
                    Path(path).parent.rmdir()

    def sweep(self, keep: Mapping[str, ParquetTable]) -> list[str]:
        """Remove the versions that are not among these; return their folders.

        What is not called as a version is, whoever laid it there, stays.
        """
        kept = {each.folder for each in keep.values()}
        gone: list[str] = []
        for table in self._below(""):
            for version in self._below(table):
                folder = posixpath.join(table, version)
                if folder not in kept and _VERSION.fullmatch(version):
                    self.remove(folder)
                    gone.append(folder)
        return gone

    def _as_url(self, place: str) -> str:
        return place if self.is_local else self.filesystem.unstrip_protocol(place)

    def _below(self, folder: str) -> list[str]:
        path = posixpath.join(self._root, folder) if folder else self._root
        with self._explained("read"):
            if not self.filesystem.exists(path):
                return []
            found: list[Any] = self.filesystem.ls(path, detail=True)
        return sorted(
            posixpath.basename(each["name"].rstrip("/"))
            for each in found
            if each["type"] == "directory"
        )

    @contextlib.contextmanager
    def _explained(self, done: str) -> Generator[None]:
        """Tell what a filesystem raises, each one in its own way, in one sentence."""
        try:
            yield
        except Exception as error:
            if isinstance(error, FileNotFoundError) and done == "read":
                raise  # no trouble where nothing was made yet
            reason = " ".join(str(error).split()) or type(error).__name__
            raise EngineError(
                f"{self.url}: the tables cannot be {done} there ({reason}); "
                f"{_LOCAL_WAY if self.is_local else _REMOTE_WAY}"
            ) from error


def _manifest_of(document: Any) -> Manifest:
    """Take a manifest from its document; what has another type would fail far from here."""
    buckets, tables, views = document["buckets"], document["tables"], document["views"]
    if type(buckets) is not int or buckets < 1:
        raise ValueError(f"'buckets' is {buckets!r}, no number of folders")
    for name, value in (("tables", tables), ("views", views)):
        if not isinstance(value, dict):
            raise TypeError(f"{name!r} does not name each by its name")
    # What is empty is no text either.
    if odd := [name for name, select in views.items() if not (select and isinstance(select, str))]:
        raise TypeError(f"the view {odd[0]!r} has no text")
    return Manifest(buckets, {name: _table_of(name, each) for name, each in tables.items()}, views)


def _table_of(name: str, document: Any) -> ParquetTable:
    columns = document["columns"]
    if not isinstance(columns, dict) or not all(isinstance(kind, str) for kind in columns.values()):
        raise TypeError(f"the columns of {name!r} have no types")
    for part, kind in (("folder", str), ("rows", int), ("bucketed", bool)):
        if type(document[part]) is not kind:
            raise TypeError(f"{part!r} of {name!r} is {document[part]!r}")
    return ParquetTable(**document)


def _is_read(file: str, below: str) -> bool:
    """Whether Spark reads a file below a folder, by the names of what lies there."""
    names = file.removeprefix(below).strip("/").split("/")
    return file.endswith(".parquet") and not any(name.startswith(("_", ".")) for name in names)
