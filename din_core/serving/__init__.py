"""What leaves the pipeline with a model: saved model, graphs, bundle, pictures.

``Ranker`` and ``attach`` are what people outside need; each is imported when it is asked for, since
a server wants neither torch nor a database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from din_core.serving.ranker import Ranker
    from din_core.serving.sql_function import attach

__all__ = ["Ranker", "attach"]


def __getattr__(name: str) -> Any:
    if name == "Ranker":
        from din_core.serving.ranker import Ranker

        return Ranker
    if name == "attach":
        from din_core.serving.sql_function import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
