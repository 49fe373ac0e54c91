"""The graphs of a bundle at work: raw ids in, probabilities out.

Shapes: N candidates of one user, B rows, L events of a history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import onnxruntime

from din_core.serving.bundle import contents
from din_core.serving.bundle.contents import Bundle, BundleError, IdKind
from din_core.serving.bundle.feature_tables import FeatureTables
from din_core.serving.bundle.ids import Id, Ids, VocabularyIds, as_array

Float32 = npt.NDArray[np.float32]
Numbers = Mapping[str, Float32]


#: What a run cannot do is an exception; onnxruntime would print it on standard error, too.
_ONLY_FATAL = 4


class Graphs(Protocol):
    """What answers: on raw ids, or by way of the vocabularies' files."""

    def rank(self, user: Id, history: Ids, candidates: Ids, context: Numbers) -> Float32:
        """Score N candidates for one user and one history ``[L]``; float32 ``[N]``."""
        ...

    def score(self, users: Ids, targets: Ids, histories: Ids, context: Numbers) -> Float32:
        """Score B rows, each with its padded history ``[B, L]``; float32 ``[B]``."""
        ...


class Sessions:
    """The sessions of a bundle's graphs, each opened when it is first used.

    Args:
        bundle: The bundle.
        threads: Threads that work on one call.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._bundle, self._threads = bundle, threads
        self._opened: dict[str, onnxruntime.InferenceSession] = {}

    def run(self, file: str, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, Float32]:
        """Run a graph.

        Args:
            file: The graph.
            feeds: What there is to feed it with, by name; what it does not take is left out.

        Returns:
            Its outputs by name.
        """
        session = self.open(file)
        taken = {each.name: feeds[each.name] for each in session.get_inputs()}
        names = [each.name for each in session.get_outputs()]
        outputs = cast("list[Float32]", session.run(names, taken))
        return dict(zip(names, outputs, strict=True))

    def open(self, file: str) -> onnxruntime.InferenceSession:
        """Return the session of a graph.

        Raises:
            BundleError: The file is damaged, or onnxruntime cannot use it.
        """
        if file not in self._opened:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.log_severity_level = _ONLY_FATAL
            path = str(self._bundle.path(file))
            try:
                self._opened[file] = onnxruntime.InferenceSession(
                    path, options, providers=["CPUExecutionProvider"]
                )
            except MemoryError:
                raise
            except Exception as error:  # onnxruntime's own have no other class in common
                raise BundleError(self._refused(file, error)) from error
        return self._opened[file]

    def _refused(self, file: str, error: Exception) -> str:
        """The graph is what was made, so it is most likely the program that is another one."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        here = onnxruntime.__version__
        made = self._bundle.about.get("libraries", {}).get("onnxruntime")
        said = f"{self._bundle.folder}: onnxruntime {here} cannot use {file}: {reason}"
        if made in (None, here):
            return said
        return f"{said}; the bundle was made with onnxruntime {made}: install that or a newer one"


class RawGraphs:
    """The graphs that take ids.

    Args:
        bundle: The bundle; it has them.
        sessions: Its sessions.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions) -> None:
        self._user_ids: IdKind = bundle.user_ids
        self._sessions = sessions

    def rank(self, user: Id, history: Ids, candidates: Ids, context: Numbers) -> Float32:
        """As :meth:`Graphs.rank`."""
        feeds = {
            "user_id": as_array([user], self._user_ids),
            "history_item_id": history,
            "candidate_item_id": candidates,
            **context,
        }
        return self._sessions.run(contents.RANK, feeds)["probability"]

    def score(self, users: Ids, targets: Ids, histories: Ids, context: Numbers) -> Float32:
        """As :meth:`Graphs.score`."""
        feeds = {
            "user_id": users,
            "target_item_id": targets,
            "hist_item_id": histories,
            **context,
        }
        return self._sessions.run(contents.SCORE, feeds)["probability"]


class IndexGraphs:
    """The graphs that take indices, with the ids looked up in the vocabularies' files.

    Args:
        bundle: The bundle.
        sessions: Its sessions.
        items: The items' vocabulary.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions, items: VocabularyIds) -> None:
        self._sessions, self._items = sessions, items
        self._features = FeatureTables(bundle, items)

    def rank(self, user: Id, history: Ids, candidates: Ids, context: Numbers) -> Float32:
        """As :meth:`Graphs.rank`."""
        feeds = {
            "user_idx": self._features.users_of([user]),
            "history_item_idx": self._items.positions(history) + 1,
            "candidate_item_idx": self._items.positions(candidates) + 1,
            **context,
        }
        return self._sessions.run(contents.RANK_INDICES, feeds)["probability"]

    def score(self, users: Ids, targets: Ids, histories: Ids, context: Numbers) -> Float32:
        """As :meth:`Graphs.score`."""
        feeds = {**self._features.of_rows(users, targets, histories), **context}
        return self._sessions.run(contents.SCORE_INDICES, feeds)["probability"]
