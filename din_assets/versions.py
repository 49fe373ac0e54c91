"""Code versions: the hash of what makes an asset, so that an edit, and only an edit, changes it."""

import hashlib
from pathlib import Path

import din_core
from din_core import sql_files

_LENGTH = 16


def of_sql(*names: str) -> str:
    """Return the code version of an asset made by SQL files: the hash of their text."""
    return _digest(*(sql_files.fingerprint(name).encode() for name in names))


def of_modules(*modules: str) -> str:
    """Return the code version of an asset made by ``din_core``: the hash of its modules' source.

    Args:
        modules: Names below ``din_core`` (``training``, or ``layers`` for a whole package). They
            are read as files and not imported: importing torch costs three seconds.
    """
    root = Path(din_core.__file__).parent
    sources: list[Path] = []
    for module in modules:
        path = root / module
        sources += (
            sorted(path.glob("*.[ch]*")) + sorted(path.glob("*.py"))
            if path.is_dir()
            else [path.with_suffix(".py")]
        )
    return _digest(*(source.read_bytes() for source in sources))


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:_LENGTH]
