"""Stand-ins for what takes seconds and decides nothing, such as drawings, and for time."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest


def stand_in_for_delivery(patch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the pictures and the export: they depend on the same, and take no time."""
    from din_core.serving.bundle.contents import BundleError
    from din_core.serving.publication import comparison

    def cannot_be_asked(*_: Any) -> None:
        raise BundleError("a stand-in has no graphs")

    stand_in_for_pictures(patch)
    stand_in_for_the_index_graph(patch)
    stand_in_for_the_graphs(patch)
    patch.setattr(comparison, "with_latest", cannot_be_asked)


def stand_in_for_pictures(patch: pytest.MonkeyPatch) -> None:
    """Stand-ins for all that is drawn; the export is real."""
    from din_core.evaluation import attention_pictures, drift_picture
    from din_core.evaluation import pictures as pictures_of_figures
    from din_core.serving import pictures

    def draw(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Path]:
        rows = con.execute("from attention_weights order by all").fetchall()
        files = folder / "weights.png", folder / "weights.svg"
        for file in files:
            file.write_text(str(rows))
        return {"weights": files[0]}

    stand_in_for_the_drawn_network(patch)
    patch.setattr(attention_pictures, "draw", draw)
    for drawing in (drift_picture, pictures_of_figures):
        patch.setattr(drawing, "figure_png", lambda figure: b"")
    patch.setattr(pictures, "training_curve", lambda history: b"")
    patch.setattr(drift_picture, "draw", lambda con: None)


def stand_in_for_the_drawn_network(patch: pytest.MonkeyPatch) -> None:
    """Files that depend on the model, in the place of its drawings; nothing is made smaller."""
    from din_core.serving import images, pictures, saved_models
    from din_core.serving.architecture import overview

    def source(model: Any) -> str:
        return saved_models.tensors_hash(model.state_dict())

    def draw(source: str, stem: Path, *_: Any) -> images.DrawnGraph:
        files = stem.with_suffix(".png"), stem.with_suffix(".svg")
        for file in files:
            file.write_text(source)
        return images.DrawnGraph(*files, preview=b"")

    patch.setattr(pictures, "graph_source", source)
    patch.setattr(pictures, "canonical_graph", lambda svg: svg)
    patch.setattr(overview, "overview_source", source)
    patch.setattr(images, "draw", draw)
    patch.setattr(images, "thumbnail", lambda png, *size, **options: b"")


def stand_in_for_the_index_graph(patch: pytest.MonkeyPatch) -> None:
    """A file that depends on the model, in the place of the graph that takes indices."""
    from din_core.serving.graphs import index_graph, parity

    patch.setattr(index_graph, "export_onnx", _write_hash)
    patch.setattr(parity, "require_parity", lambda model, file: 0.0)


def stand_in_for_the_graphs(patch: pytest.MonkeyPatch) -> None:
    """A bundle without graphs, which nobody asks: other bundles may be asked."""
    from din_core.serving import agreement, graphs

    def write_all(saved: Any, *_: Any, max_history: int, **__: Any) -> graphs.GraphReport:
        return graphs.GraphReport(
            sizes={},
            differences={},
            left_out={"rank.onnx": saved.tensors_hash},
            padding={"item_id": -1},
            id_types={"item_id": "int64"},
            max_history=max_history,
        )

    patch.setattr(graphs, "write_all", write_all)
    patch.setattr(agreement, "require_agreement", lambda *_: (0.0, 0))


def stand_in_for_time(patch: pytest.MonkeyPatch) -> None:
    """One moment for all that is judged: a report says when, to the minute, of earlier models."""
    from din_core.serving.publication import history

    class Stopped(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime(2100, 1, 1, tzinfo=tz)

    patch.setattr(history, "datetime", SimpleNamespace(datetime=Stopped, UTC=datetime.UTC))


def _write_hash(model: Any, target: Path) -> None:
    from din_core.serving import saved_models

    target.write_text(saved_models.tensors_hash(model.state_dict()))
