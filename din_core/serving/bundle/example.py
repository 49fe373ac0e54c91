"""``example.py`` of a bundle: the shortest program that ranks, with numpy and onnxruntime alone.

It is written for the bundle, with ids of its own catalogue, so that it runs as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from din_core.serving.bundle import contents, parquet_files

_SHOWN = 3

_PROGRAM = '''\
"""Rank items for a user with numpy and onnxruntime alone. {ids}"""

from pathlib import Path

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(Path(__file__).with_name("{graph}"))
candidates = np.array({candidates!r}, dtype={item_type})
feeds = {{
    "history_item_{suffix}": np.array({history!r}, dtype={item_type}),  # oldest first
    "candidate_item_{suffix}": candidates,
{user}}}
{context}[probability] = session.run(["probability"], feeds)
for place in np.argsort(-probability, kind="stable"):
    print(candidates[place], probability[place])
'''
_USER = """\
    "user_{suffix}": np.array([{user!r}], dtype={user_type}),
"""
_CONTEXT = """\
for name in {context!r}:  # numbers of the moment; NaN is missing
    feeds[name] = np.full(len(candidates), np.nan, np.float32)
"""
_TYPES = {"int64": "np.int64", "string": "object"}


def write(folder: Path, about: Mapping[str, Any]) -> str:
    """Return the example for a bundle.

    Args:
        folder: The bundle, with its vocabularies and histories.
        about: What its manifest says.
    """
    in_ids = contents.RANK in about["graphs"]
    items = _first(folder / contents.ITEMS, "item_id" if in_ids else "item_idx")
    users = _first(folder / contents.HISTORIES, "user_id") if in_ids else [1]
    names = {
        "suffix": "id" if in_ids else "idx",
        "item_type": _TYPES[about["ids"]["item_id"]] if in_ids else "np.int64",
        "user_type": _TYPES[about["ids"]["user_id"]] if in_ids else "np.int64",
    }
    user = users[0] if users else about["user_padding"]
    return _PROGRAM.format(
        ids="Ids are those of the log." if in_ids else "Indices are those of vocabularies/.",
        graph=contents.RANK if in_ids else contents.RANK_INDICES,
        candidates=items,
        history=items[:-1],
        user=_USER.format(user=user, **names) if about["uses_user"] else "",
        context=_CONTEXT.format(context=about["context"]) if about["context"] else "",
        **names,
    )


def _first(path: Path, column: str) -> list[Any]:
    """The first ids of a file."""
    return parquet_files.read(path, [column])[column].slice(0, _SHOWN).to_pylist()
