"""Results that follow from files alone, kept on disk for the next process.

An entry is named by a hash of all that it follows from, so it is never out of date. It lies in a
folder that is the user's alone, as JSON; one that cannot be read is computed again, and a disk that
takes none only costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from din_core.store import sql_files

_KEPT = 16


def computed_once(kind: str, basis: Iterable[bytes], compute: Callable[[], Any]) -> Any:
    """Return what ``compute`` returns, from disk where it was computed before.

    Args:
        kind: What it is, a word.
        basis: All that the result follows from, the code that computes it included.
        compute: Returns something that JSON can say.
    """
    digest = hashlib.sha256()
    for part in basis:
        digest.update(hashlib.sha256(part).digest())
    folder = sql_files.private_folder()
    path = None if folder is None else folder / f"din-{kind}-{digest.hexdigest()[:32]}.json"
    if path is not None:
        with contextlib.suppress(OSError, ValueError):
            value = json.loads(path.read_bytes())
            path.touch()  # what is asked for stays, however many others are written
            return value
    value = compute()
    if path is not None:
        with contextlib.suppress(OSError):
            # Not to the disk at once: what a power cut damages is computed again.
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as written:
                written.write(json.dumps(value).encode())
            Path(written.name).replace(path)
            _forget_old(path.parent, kind)
    return value


def _forget_old(folder: Path, kind: str) -> None:
    # Not Path.glob: compiled templates lie there, too, and each of them would become a Path.
    with os.scandir(folder) as found:
        ours = [each for each in found if each.name.startswith(f"din-{kind}-")]
    entries = sorted(ours, key=lambda each: each.stat().st_mtime)
    for each in entries[:-_KEPT]:
        Path(each.path).unlink(missing_ok=True)
