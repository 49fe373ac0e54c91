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


class CurrentBundle:
    """Serves a folder, or whatever a pointer to folders leads to at the moment.

    Args:
        pointer: A bundle's folder, or the link ``current`` beside its versions.

    Raises:
        BundleError: There is no bundle, or it is damaged.
    """

    def __init__(self, pointer: Path) -> None:
        self.pointer = pointer
        self._loaded = LoadedBundle(version_folder(pointer))
        self._refused: Path | None = None
        self._stop = threading.Event()

    def get(self) -> LoadedBundle:
        """Return the bundle to answer with."""
        return self._loaded

    def refresh(self) -> bool:
        """Load the bundle that the pointer leads to, if it is another one.

        A bundle that cannot be loaded is told of once, and the one before it stays.

        Returns:
            Whether another bundle is served now.
        """
        folder = version_folder(self.pointer)
        if folder in (self._loaded.folder, self._refused):
            return False
        try:
            loaded = LoadedBundle(folder)
        except (DinError, OSError) as error:
            self._refused = folder
            _log.warning("%s is not served, %s stays: %s", folder, self._loaded.version, error)
            return False
        self._loaded, self._refused = loaded, None
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
