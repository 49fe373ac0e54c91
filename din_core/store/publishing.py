"""The analysts' file: an audited copy of the pipeline's database, swapped in whole.

Analysts never open the file the pipeline writes. They get a snapshot that is complete, closed,
checkpointed and read-only before anybody sees it under its name; whoever has the old file open
keeps reading the old file. Beside it lies its SHA-256, as ``sha256sum -c`` takes it, so that what
happens to the file afterwards is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from din_core.atomic_files import replacing, sync
from din_core.store import sql_files
from din_core.store.database import connect, relations
from din_core.store.errors import StoreError, explain, folder_in_place_of
from din_core.store.standalone_copy import Contents, copy_into, row_counts
from din_core.store.threads import of_use

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_READ_ONLY = 0o444
# Analysts have the clients that they have: every DuckDB 1.x reads this, and 2.x as well. The engine
# that writes would by default take a version that only itself and later ones read.
_STORAGE_VERSION = "v1.0.0"


def publish(
    source: Path | str,
    target: Path | str,
    *,
    every_nth_user: int = 1,
    filesystem: AbstractFileSystem | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> Contents:
    """Copy every table, view and comment of the pipeline's database into the analysts' file.

    The copy stands alone: tables that the pipeline has in Parquet files are tables in it.

    The copy is built beside the target and renamed over it, so a reader sees the old file or the
    new one, never a part. The row counts of the copy are compared with the source's first. Call it
    within the run lock, with no connection to ``source`` open for writing.

    Args:
        source: The pipeline's database.
        target: The analysts' file. Mode 0444 afterwards.
        every_nth_user: Which users it holds: 1 for all of them, n for a sample. See
            :mod:`din_core.store.standalone_copy`.
        filesystem: Where the Parquet files lie, as of :func:`din_core.store.connect`.
        memory_limit: DuckDB's limit while copying, as ``"6GB"``.
        threads: DuckDB's threads while copying; by default as many as are of use.

    Returns:
        What the published file holds.

    Raises:
        StoreError: The source is missing or in use, the disk is full, the folder is read-only,
            or the copy differs from the source or would not stand alone; the old target is intact.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise StoreError(f"{source}: nothing to publish; run the pipeline first (make run)")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(target)
        work = Path(tempfile.mkdtemp(prefix=_work_prefix(target), dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        built = work / target.name
        contents = _copy(
            source,
            built,
            every_nth_user,
            filesystem=filesystem,
            memory_limit=memory_limit,
            threads=threads,
        )
        _swap_in(built, target)
    except OSError as error:
        raise _unwritable(target, error) from error
    except duckdb.Error as error:
        raise StoreError(
            f"{target}: not replaced, the copy of {source} failed: {explain(source, error)}"
        ) from error
    finally:
        _remove(work)
    return contents


def damage_of_published(target: Path | str) -> str | None:
    """Compare the analysts' file with its checksum, every byte of it.

    Args:
        target: As given to :func:`publish`.

    Returns:
        What is wrong, in words that begin with the file's name; None where it is what was
        published.
    """
    target = Path(target)
    if not target.is_file():
        return f"{target.name} is gone"
    if Path(f"{target}.wal").exists():
        return f"{target.name}.wal holds changes that somebody made to the published file"
    try:
        expected = _checksum_of(target).read_text(encoding="utf-8")
        if expected == _checksum_line(_sha256(target), target):
            return None
    except FileNotFoundError:
        return f"{target.name} has no checksum beside it"
    except (OSError, UnicodeDecodeError):
        pass
    return f"{target.name} is not what was published"


def _checksum_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _checksum_line(sha256: str, target: Path) -> str:
    return f"{sha256}  {target.name}\n"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _work_prefix(target: Path) -> str:
    return f".{target.name}.publishing-"


def _unwritable(target: Path, error: OSError) -> StoreError:
    return folder_in_place_of(target, _checksum_of(target)) or StoreError(
        f"{target}: not replaced, the file before stays as it was: {error.strerror or error}; "
        f"make room in {target.parent} or make it writable, and run again"
    )


def _copy(
    source: Path,
    built: Path,
    every_nth_user: int,
    *,
    filesystem: AbstractFileSystem | None,
    memory_limit: str | None,
    threads: int | None,
) -> Contents:
    # Closing checkpoints the file, so that no write-ahead log belongs to it.
    with connect(
        ":memory:",
        filesystem=filesystem,
        memory_limit=memory_limit,
        threads=threads,
        temp_directory=built.parent / "spill",
    ) as con:
        con.execute(f"attach {sql_files.literal(str(source))} as pipeline (read_only)")
        if threads is None:
            con.execute(f"set threads = {of_use(con, 'pipeline')}")
        con.execute(
            f"attach {sql_files.literal(str(built))} as warehouse "
            f"(storage_version {sql_files.literal(_STORAGE_VERSION)})"
        )
        contents = copy_into(con, "pipeline", "warehouse", every_nth_user)
        expected = row_counts(con, "pipeline", every_nth_user)
        found = row_counts(con, "warehouse")
        if not expected.items() <= found.items():
            raise StoreError(
                f"{built}: the copy holds {found} rows and the source {expected}; not published"
            )
        con.execute("checkpoint warehouse")
        con.execute("use memory")
        con.execute("detach warehouse")
    _require_standing_alone(built)
    return contents


def _require_standing_alone(built: Path) -> None:
    """Refuse a copy with a view that reads a file: analysts may not have it, and it changes."""
    con = duckdb.connect(str(built), read_only=True, config={"enable_external_access": "false"})
    with contextlib.closing(con):
        for name, kind in relations(con).items():
            try:
                con.execute(f"describe {sql_files.quote(name)}")
            except duckdb.PermissionException as error:
                raise StoreError(
                    f"{built}: the {kind} {name} reads files, so that the copy would not stand "
                    f"alone ({str(error).splitlines()[0]}); not published"
                ) from error


def _swap_in(built: Path, target: Path) -> None:
    built.chmod(_READ_ONLY)
    sync(built)
    # An analyst who opened the old file for writing may have left a log behind: beside the new file
    # it would make that unreadable for everybody. Before the swap, so that no reader meets the new
    # file with the old log; and after it, for one written in between.
    stale_log = Path(f"{target}.wal")
    stale_log.unlink(missing_ok=True)
    # A kill between the checksum and the swap leaves a file that is published again.
    with replacing(_checksum_of(target)) as temporary:
        temporary.write_text(_checksum_line(_sha256(built), target), encoding="utf-8")
    built.replace(target)
    stale_log.unlink(missing_ok=True)
    sync(target.parent)


def remove_unfinished(target: Path | str) -> None:
    """Clear away what publications that were killed left behind.

    Args:
        target: As given to :func:`publish`; call it within the run lock.
    """
    target = Path(target)
    for leftover in target.parent.glob(f"{_work_prefix(target)}*"):
        _remove(leftover)


def _remove(work: Path) -> None:
    # Nothing here may hide the error that brought us here; what stays is removed next time.
    with contextlib.suppress(OSError):
        for path in sorted(work.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        work.rmdir()
