"""Which libraries decide results, so that another version of one is another code version.

Python names a library where it computes with it. The engine is used wherever an asset has SQL;
where Python only fetches rows through it, it decides nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib import metadata

#: Distributions that run the SQL files and carry what Python hands to them.
ENGINES = ("duckdb", "pyarrow")

#: Module to the distributions that its results follow from.
COMPUTING: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "torch": ("torch",),
    "torch.onnx": ("onnx",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
    "torchviz": ("torchviz",),
}

#: Modules that decide no result: they carry, keep, or show.
OTHERS = frozenset(
    (
        "duckdb",
        "fastapi",
        "fsspec",
        "graphviz",
        "jinja2",
        "markupsafe",
        "matplotlib",
        "mlflow",
        "pandas",
        "PIL",
        "pyarrow",
        "pydantic",
        "pysail",
        "pyspark",
        "safetensors",
        "sqlglot",
        "starlette",
        "tensorboard",
        "yaml",
    )
)


def versions_of(names: Iterable[str], *, engines: bool) -> list[str]:
    """Return ``distribution version`` of the libraries that decide a result, in order.

    Args:
        names: Dotted names of what the code uses, as ``torch.onnx.export``.
        engines: Whether SQL files take part.
    """
    found: set[str] = set(ENGINES if engines else ())
    for name in names:
        parts = name.split(".")
        for length in (1, 2):
            found.update(COMPUTING.get(".".join(parts[:length]), ()))
    return [f"{name} {_version(name)}" for name in sorted(found)]


@functools.cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
