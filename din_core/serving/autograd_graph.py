"""torchviz's drawing of an autograd graph, without the packages that torchviz imports in vain.

torchviz 0.0.3 takes ``LooseVersion`` from distutils, to see whether torch is older than 1.9. Python
3.12 has no distutils, and before it setuptools answers for it, which takes longer to import than
the rest of this package.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from torch.torch_version import TorchVersion

_VERSIONS = "distutils.version"


def make_dot(output: Any, params: dict[str, Any]) -> Any:
    """Draw the operations that a tensor comes from.

    Args:
        output: The tensor.
        params: Name of each parameter, and the parameter.

    Returns:
        A ``graphviz.Digraph``.
    """
    return _torchviz().make_dot(output, params=params)


def _torchviz() -> Any:
    if "torchviz" in sys.modules or _VERSIONS in sys.modules:
        return importlib.import_module("torchviz")
    stand_in: Any = ModuleType(_VERSIONS)
    stand_in.LooseVersion = TorchVersion
    sys.modules[_VERSIONS] = stand_in
    try:
        return importlib.import_module("torchviz")
    finally:
        del sys.modules[_VERSIONS]
