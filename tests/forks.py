"""Processes that begin with their imports done: forks of one that has imported what takes long.

A process has one such server, which imports when it starts: all tests ask here for the same.
"""

import multiprocessing
from multiprocessing.context import ForkServerContext
from typing import Any

# Not the definitions: they look at the environment when they are imported.
_IMPORTED = [
    "torch.onnx", "matplotlib.pyplot", "onnx", "onnxruntime", "pytest", "dagster._cli.asset",
    "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection",
    "din_assets.assets.catalogue", "din_assets.command.cli", "din_core.datasets.synthetic",
    "din_core.serving.graphs", "din_core.training.loop",
]  # fmt: skip


def context() -> ForkServerContext:
    """Return what makes such processes."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_IMPORTED)
    return found


def execute(source: str, names: dict[str, Any]) -> None:
    """Run a script in such a process: a function of a test would import the test's module."""
    exec(compile(source, "<test>", "exec"), {"__name__": "__main__", **names})
