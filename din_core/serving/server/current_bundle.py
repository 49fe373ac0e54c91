"""The bundle that is served, and the next one as soon as it is published.

A request takes the bundle once and keeps it until it has answered, so that a new bundle drops no
request and no answer mixes two of them.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from din_core.errors import DinError
from din_core.serving.ranker import Ranker

_log = logging.getLogger(__name__)

#: Graphs that are offered one by one, where the bundle has them.
GRAPHS = ("rank", "score", "explain", "din", "rank_indices")


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle in memory.

    Attributes:
        folder: The version's own folder, not the pointer to it.
        version: Data version of the bundle.
        ranker: Answers requests.
        sessions: Graph by name, one thread each: more requests at a time take more processes.
    """

    folder: Path
    version: str
    ranker: Ranker
    sessions: dict[str, onnxruntime.InferenceSession]


class CurrentBundle:
    """Serves a folder, or whatever a pointer to folders leads to at the moment.

    Args:
        pointer: A bundle's folder, or the link ``current`` beside its versions.

    Raises:
        DinError: There is no bundle, or it is damaged.
    """

    def __init__(self, pointer: Path) -> None:
        self.pointer = pointer
        self._loaded = _load(pointer.resolve())
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
        folder = self.pointer.resolve()
        if folder in (self._loaded.folder, self._refused):
            return False
        try:
            loaded = _load(folder)
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


def _load(folder: Path) -> LoadedBundle:
    ranker = Ranker(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(
            str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        for name in GRAPHS
        if (folder / f"{name}.onnx").exists()
    }
    return LoadedBundle(folder, folder.name, ranker, sessions)
