"""One instance of DuckDB for the many openings of a run.

Making an instance takes 12 ms of processor time, whatever it opens, and a small run opens the
pipeline's database some 70 times. Within :func:`kept_instance` one instance stays, and a file is
attached to it for the length of a connection: it is locked, checkpointed and let go as without.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Generator, Mapping
from pathlib import Path

import duckdb

from din_core.store import sql_files, threads

# The catalogs that every instance has; a file of such a name gets an instance of its own.
_TAKEN = ("memory", "system", "temp", "main")
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
_THREADS = "threads"


class _Instance:
    """An instance in memory, with one file attached at a time, for one connection or several."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._root: duckdb.DuckDBPyConnection | None = None
        self._settings: dict[str, str] = {}
        self._file: tuple[Path, bool] | None = None
        self._connections = 0
        self._is_spoilt = False

    def opened(
        self, path: Path, settings: Mapping[str, str], *, read_only: bool
    ) -> duckdb.DuckDBPyConnection | None:
        """Return a connection whose catalog is the file; None where it needs its own instance.

        Raises:
            duckdb.Error: The file cannot be opened.
        """
        path = path.absolute()
        if os.getpid() != self._process or not _is_plain(path.stem):
            return None
        with self._lock:
            if self._connections and self._file != (path, read_only):
                return None
            settings = {"temp_directory": f"{path}.tmp", **settings}
            root = self._root
            if root is None or not self._connections:
                root = self._attached(path, settings, read_only=read_only)
            connection = root.cursor()
            connection.execute(f"use {sql_files.quote(path.stem)}")
            self._connections += 1
            self._set(connection, settings)
            return connection

    def let_go(self, connection: duckdb.DuckDBPyConnection, *, failed: bool) -> None:
        """Close a connection, and with the last one the file.

        Args:
            connection: From :meth:`opened`.
            failed: Whether something went wrong, which may be the instance's state: the next file
                gets a new one.
        """
        connection.close()
        with self._lock:
            self._is_spoilt |= failed
            self._connections -= 1
            if self._connections or self._root is None or self._file is None:
                return
            if not self._is_spoilt:
                try:
                    self._root.execute(f"detach {sql_files.quote(self._file[0].stem)}")
                except duckdb.Error:
                    self._is_spoilt = True
            self._file = None
            if self._is_spoilt:
                self.close()

    def close(self) -> None:
        """Close the instance; files are closed as where their last connection is."""
        root, self._root = self._root, None
        self._settings = {}
        self._is_spoilt = False
        # On the other side of a fork its threads are missing, for which closing would wait.
        if root is not None and os.getpid() == self._process:
            root.close()

    def _attached(
        self, path: Path, settings: Mapping[str, str], *, read_only: bool
    ) -> duckdb.DuckDBPyConnection:
        try:
            root = self._for(settings)
            file, name = sql_files.literal(str(path)), sql_files.quote(path.stem)
            root.execute(f"attach {file} as {name}{' (read_only)' if read_only else ''}")
            if _THREADS not in settings:
                self._set(root, {_THREADS: str(threads.of_use(root, path.stem))})
        except duckdb.Error:
            self.close()
            raise
        self._file = path, read_only
        return root

    def _for(self, settings: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
        """Return the instance's own connection, under these settings."""
        self._root = self._root or _new_instance()
        try:
            self._set(self._root, settings)
        except duckdb.NotImplementedException:
            # One that has spilled takes no other folder for it.
            self.close()
            self._root = _new_instance()
            self._set(self._root, settings)
        return self._root

    def _set(self, connection: duckdb.DuckDBPyConnection, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            if self._settings.get(name) != value:
                connection.execute(f"set {name} = {sql_files.literal(value)}")
                self._settings[name] = value


def _new_instance() -> duckdb.DuckDBPyConnection:
    # By default it would start a thread for each core of the host.
    return duckdb.connect(config={_THREADS: 1})


def _is_plain(name: str) -> bool:
    return _PLAIN_NAME.fullmatch(name) is not None and name not in _TAKEN


_kept: list[_Instance] = []


@contextlib.contextmanager
def kept_instance() -> Generator[None]:
    """Let the connections of this process to files share one instance, as far as that can be.

    Two share it that open the same file alike, or that follow each other.
    """
    if _kept:
        yield
        return
    instance = _Instance()
    _kept.append(instance)
    try:
        yield
    finally:
        _kept.remove(instance)
        instance.close()


@contextlib.contextmanager
def opened(
    path: Path | str, *, read_only: bool, settings: Mapping[str, str]
) -> Generator[duckdb.DuckDBPyConnection]:
    """Have a connection to a file, of the instance that is kept or of its own.

    Args:
        path: The file, or ``":memory:"``, which is nobody else's.
        read_only: Whether it is opened for reading.
        settings: Settings of the instance, by name. Without ``threads`` it has as many as are of
            use to the file.

    Raises:
        duckdb.Error: The file cannot be opened.
    """
    attached = instance = None
    if _kept and isinstance(path, Path):
        instance = _kept[0]
        attached = instance.opened(path, settings, read_only=read_only)
    if instance is None or attached is None:
        with contextlib.closing(duckdb.connect(str(path), read_only=read_only)) as connection:
            for name, value in settings.items():
                connection.execute(f"set {name} = {sql_files.literal(value)}")
            if _THREADS not in settings:
                [(database,)] = connection.execute("select current_database()").fetchall()
                connection.execute(f"set threads = {threads.of_use(connection, database)}")
            yield connection
        return
    failed = True
    try:
        yield attached
        failed = False
    finally:
        instance.let_go(attached, failed=failed)
