"""The bundle that is served, and the next one as soon as it is published.

A request takes the bundle once and keeps it until it has answered, so that a new bundle drops no
request and no answer mixes two of them.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from din_core.errors import DinError
from din_core.serving.bundle import contents
from din_core.serving.bundle.contents import version_folder
from din_core.serving.ranker import Ranker

_log = logging.getLogger(__name__)

#: Graphs that are offered one by one, where the bundle has them, by the name of their file.
_GRAPHS = {
    file.removesuffix(".onnx"): file
    for file in (
        contents.RANK,
        contents.SCORE,
        contents.EXPLAIN,
        contents.SCORE_INDICES,
        contents.RANK_INDICES,
    )
}


class LoadedBundle:
    """A bundle in memory, every graph of it open.

    Args:
        folder: Its version's folder.

    Attributes:
        folder: As given.
        ranker: Answers requests, one thread each: more of them at a time take more processes.
        sessions: Graph by name.

    Raises:
        BundleError: The folder holds no bundle, or a file of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranker = Ranker(folder)
        self.sessions = {
            name: self.ranker.sessions.open(file)
            for name, file in _GRAPHS.items()
            if file in self.ranker.bundle
        }

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.ranker.version


def _look_of(folder: Path) -> frozenset[object]:
    """What tells a folder from another, or from itself after a change; no file is read."""
    found: set[object] = {str(folder)}
    try:
        for path in folder.rglob("*"):
            of = path.stat()
            found.add((str(path), of.st_ino, of.st_size, of.st_mtime_ns))
    except OSError:
        found.add(None)  # it is just being removed or put there
    return frozenset(found)


class CurrentBundle:
    """Serves a folder, or whatever a pointer to folders leads to at the moment.

    Args:
        pointer: A bundle's folder, or the link ``current`` beside its versions.

    Raises:
        BundleError: There is no bundle, or it is damaged.
    """

    def __init__(self, pointer: Path) -> None:
        self.pointer = pointer
        folder = version_folder(pointer)
        self._seen = _look_of(folder)
        self._loaded = LoadedBundle(folder)
        self._stop = threading.Event()

    def get(self) -> LoadedBundle:
        """Return the bundle to answer with."""
        return self._loaded

    def refresh(self) -> bool:
        """Load the bundle that the pointer leads to, if its files are others than before.

        A bundle that cannot be loaded is told of, and the one before it stays. It is tried again
        when a file of it has changed: it may have been on its way, or been made again.

        Returns:
            Whether another bundle is served now.
        """
        folder = version_folder(self.pointer)
        look = _look_of(folder)
        if look == self._seen:
            return False
        self._seen = look
        try:
            loaded = LoadedBundle(folder)
        except (DinError, OSError) as error:
            _log.warning("%s is not served, %s stays: %s", folder, self._loaded.version, error)
            return False
        except Exception:  # noqa: BLE001  (it is logged, and the watching goes on)
            _log.exception("%s is not served, %s stays", folder, self._loaded.version)
            return False
        self._loaded = loaded
        _log.info("bundle %s is served now", loaded.version)
        return True

    def watch(self, seconds: float) -> None:
        """Look for another bundle every so many seconds, in a thread, until :meth:`close`."""

        def look() -> None:
            while not self._stop.wait(seconds):
                self.refresh()

        threading.Thread(target=look, name="watch-bundle", daemon=True).start()

    def close(self) -> None:
        """End the watching."""
        self._stop.set()
