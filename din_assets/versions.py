"""Code versions: the hash of what makes an asset, so that an edit, and only an edit, changes it."""

import ast
import functools
import hashlib
from pathlib import Path

import din_core
from din_core import checks, sql_files

_LENGTH = 16
_PACKAGE = "din_core"
_ROOT = Path(din_core.__file__).parent
_PLUMBING = frozenset(
    (
        "artifacts",
        "atomic_files",
        "config",
        "errors",
        "ledger",
        "recorded_options",
        "sql_files",
        "warehouse",
    )
)


def of_sql(*names: str) -> str:
    """Return the code version of an asset made by SQL files: the hash of their text.

    What guards a table and what describes it belong to it: a check that became stricter has to be
    run, and a comment that changed has to reach whoever reads the table.
    """
    checked = [check.name for name in names for check in checks.checks_of(name)]
    described = [repr(sql_files.schema(name)) for name in names]
    texts = [sql_files.fingerprint(name) for name in (*names, *checked)]
    return _digest(*(text.encode() for text in (*texts, *described)))


def of_modules(*modules: str) -> str:
    """Return the code version of an asset made by ``din_core``: the hash of its modules' source.

    What a module imports of ``din_core`` belongs to it, and so do the kernels in C++. Left out is
    what decides where things are kept and not what they are; options are compared for themselves.

    Args:
        modules: Names below ``din_core``, as ``training``, or ``sources`` for a whole package. They
            are read as files and not imported: importing torch costs three seconds.
    """
    found: set[Path] = set()
    waiting = [path for module in modules for path in _files_of(module)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = _imported(path.read_bytes()) if path.suffix == ".py" else []
            waiting += [file for module in names for file in _files_of(module)]
    return _digest(*(path.read_bytes() for path in sorted(found)))


def _files_of(module: str) -> list[Path]:
    """The files of a module, or of a package with everything in it; none for what is left out."""
    first, *_ = module.split(".")
    path = _ROOT / first
    if first in _PLUMBING:
        return []
    if path.is_dir():
        return [file for pattern in ("*.py", "*.cpp", "*.hpp") for file in path.glob(pattern)]
    return [path.with_suffix(".py")]


@functools.cache
def _imported(source: bytes) -> list[str]:
    """Names below ``din_core`` that a module imports, also inside functions."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            whole = [f"{node.module}.{each.name}" for each in node.names]
            names += whole if node.module == _PACKAGE else [node.module]
        elif isinstance(node, ast.Import):
            names += [each.name for each in node.names]
    return [name.removeprefix(f"{_PACKAGE}.") for name in names if name.startswith(f"{_PACKAGE}.")]


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:_LENGTH]
