"""The figures on disk: ``results.json``, and ``RESULTS.md`` that is written from it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.page import SECTIONS, render

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"
PAGE = FOLDER / "RESULTS.md"


def read_results(path: Path = RESULTS) -> dict[str, Any]:
    """Return what was measured so far; nothing where there is no file."""
    return json.loads(path.read_text()) if path.exists() else {"cases": []}


def add_entries(entries: Sequence[Mapping[str, Any]], path: Path = RESULTS) -> dict[str, Any]:
    """Put entries in the place of earlier ones of the same case, and write the file.

    Args:
        entries: From :func:`benchmarks.cases.run_case`.
        path: The file; it is replaced whole or not at all.

    Returns:
        What the file holds now.
    """
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    earlier = read_results(path)
    cases = {entry["case"]: entry for entry in earlier["cases"]}
    machine = describe_machine()
    for entry in entries:
        cases[entry["case"]] = {**entry, "machine": machine, "date": today}
    results = {
        "machine": machine,
        # Those of packages that other cases needed and this machine lacks stay as they were.
        "versions": {**earlier.get("versions", {}), **describe_versions()},
        "date": today,
        "cases": sorted(cases.values(), key=_place),
    }
    _write(path, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return results


def write_page(results: Mapping[str, Any], path: Path = PAGE) -> None:
    """Write ``RESULTS.md``."""
    _write(path, render(results))


def _place(entry: Mapping[str, Any]) -> tuple[int, int, str]:
    """Sections in their order; within one by size."""
    case = entry["case"]
    section = next(i for i, (prefix, _, _) in enumerate(SECTIONS) if case.startswith(prefix))
    return section, entry.get("rows", 0), case


def _write(path: Path, text: str) -> None:
    """Replace a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)
