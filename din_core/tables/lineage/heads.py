"""The head of a SQL file: the comment it begins with, and what is said there by ``-- name: value``.

A file's name says what its table is called. The head says what the name does not, before any prose:

``asset``
    The asset that the file belongs to, where that is not the file's own name; several with commas.
``kind``
    ``table`` where nothing is said. A ``view``; a ``figure``, one number that is reported of the
    asset; or a ``query``, whose answer decides how something else is made.
``given``
    Relations that Python hands in under a name, which no file makes.
``needs``
    Options without which there is no such table, as ``item_attributes``.
``allows``
    Of a way to come by negatives: what the checks let pass. ``interacted_items`` are items of the
    user's own; ``any_number`` is another number a positive than ``negatives_per_positive``.
``severity``, ``users``
    Of a check: see :mod:`din_core.tables.checks`.

Below the prose, to the end of the head:

``what_to_do``
    Of a check: what somebody does about what it found. Words for people, like the prose: no version
    goes by them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from din_core.store import sql_files

Kind = Literal["table", "view", "figure", "query", "check"]

_FIELD = re.compile(r"^-- ([a-z_]+): (\S.*?)\s*$")
_NAMES = ("asset", "kind", "given", "needs", "allows", "severity", "users")
_ADVICE = "what_to_do"
_OF_OTHERS = ("noqa",)  # the linter's
_KINDS = ("table", "view", "figure", "query")
_ALLOWANCES = ("interacted_items", "any_number")


@dataclass(frozen=True)
class Head:
    """What the head of a file says.

    Attributes:
        name: The file's name before its first dot.
        assets: The assets that it belongs to.
        kind: What is made of it; ``check`` for every file in ``sql/checks``.
        given: Relations that Python hands in.
        needs: Options that may not be empty.
        allows: What the checks let pass.
        fields: All that is said by name, as it stands there.
        prose: The comment below the names, in one line.
        what_to_do: What the last part of the comment advises, in one line; empty where there is
            none.
    """

    name: str
    assets: tuple[str, ...]
    kind: Kind
    given: frozenset[str]
    needs: tuple[str, ...]
    allows: tuple[str, ...]
    fields: Mapping[str, str]
    prose: str
    what_to_do: str = ""


def head_of(path: Path) -> Head:
    """Read the head of a SQL file, or take what was read of the same file before.

    Raises:
        SqlFileError: A name, a kind, or something to allow, that there is not.
    """
    found = path.stat()
    return _read(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=512)
def _read(path: Path, _changed: int, _size: int) -> Head:
    fields: dict[str, str] = {}
    prose: list[str] = []
    advice: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("--"):
                break
            found = _FIELD.match(line)
            if found and found[1] == _ADVICE and not advice:
                advice.append(found[2])
            elif advice and not (found and found[1] in (*_NAMES, _ADVICE, *_OF_OTHERS)):
                advice.append(line.removeprefix("--").strip())
            elif found and found[1] in _NAMES and not prose and not advice:
                fields[found[1]] = found[2]
            elif found and found[1] in _NAMES:
                raise sql_files.SqlFileError(
                    f"{path.name}: '-- {found[1]}: {found[2]}' stands below the prose of the head; "
                    "put it above"
                )
            elif found and found[1] == _ADVICE:
                raise sql_files.SqlFileError(f"{path.name}: the head says '-- {_ADVICE}' twice")
            elif found and not prose and found[1] not in _OF_OTHERS:
                raise sql_files.SqlFileError(
                    f"{path.name}: the head says '-- {found[1]}: {found[2]}', and there is no such "
                    f"name: write one of {', '.join(_NAMES)}, or prose"
                )
            elif not (found and found[1] in _OF_OTHERS):
                prose.append(line.removeprefix("--").strip())
    name = path.name.partition(".")[0]
    kind = "check" if path.parent.name == "checks" else fields.get("kind", "table")
    if kind not in (*_KINDS, "check"):
        raise sql_files.SqlFileError(
            f"{path.name}: the head says '-- kind: {kind}', which must be one of {_KINDS}"
        )
    allows = _names(fields.get("allows", ""))
    if unknown := [each for each in allows if each not in _ALLOWANCES]:
        raise sql_files.SqlFileError(
            f"{path.name}: the head says '-- allows: {unknown[0]}', which must be one of "
            f"{_ALLOWANCES}"
        )
    return Head(
        name=name,
        assets=_names(fields.get("asset", name)),
        kind=kind,
        given=frozenset(_names(fields.get("given", ""))),
        needs=_names(fields.get("needs", "")),
        allows=allows,
        fields=MappingProxyType(fields),
        prose=" ".join(prose).strip(),
        what_to_do=" ".join(advice).strip(),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))
