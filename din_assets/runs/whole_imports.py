"""Libraries that are imported whole: who interrupts meanwhile is heard when they are.

An interruption is an exception in whatever Python code runs at that moment, and compiled modules
run some while they are loaded. Not all of them can bear it: torch ends the process with the stack
of C++, or goes on as if nothing had been said, so that a run trains which was to end; onnxruntime
says that its initialization failed, which looks like a fault of the installation.
"""

import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FrameType, ModuleType

#: Packages with compiled modules that a command may load while it works.
LIBRARIES = frozenset({"duckdb", "numpy", "onnx", "onnxruntime", "pyarrow", "torch"})
#: Dagster makes the same exception of both.
_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


def import_whole() -> None:
    """Let the libraries be imported whole, in this process and from now on."""
    if not any(isinstance(finder, WholeImports) for finder in sys.meta_path):
        sys.meta_path.insert(0, WholeImports(LIBRARIES))


class WholeImports(MetaPathFinder):
    """Finds some packages where Python does, and lets interruptions wait while it loads them."""

    def __init__(self, names: frozenset[str]) -> None:
        """Find these packages, and no others."""
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a package is loaded; None for all others."""
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _WholeLoader(spec.loader.name, spec.loader.path)
        return spec


class _WholeLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with interruptions_wait():
            super().exec_module(module)


@contextmanager
def interruptions_wait() -> Generator[None]:
    """Let SIGINT and SIGTERM do at the end of the block what they would have done inside.

    Other threads hear of no signal, so nothing waits in them. A signal that ends the process or is
    ignored does so at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    handlers = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    replaced = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in replaced:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            if signal.getsignal(number) is note:
                signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
